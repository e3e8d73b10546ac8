import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InvalidInput } from "../../shared/core/errors.ts";
import { decodeUtf8, jsonFaultPosition, parseJson } from "../../shared/runtime/http/json.ts";

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

describe("the position of a fault in JSON", () => {
  it.each([
    ["", 0],
    ['{"a": 1', 7],
    ['{"a":}', 5],
    ['{"a" 1}', 5],
    ["{a: 1}", 1],
    ['{"a": 1,}', 8],
    ["[1 2]", 3],
    ["[1,]", 3],
    ["[1}", 2],
    ["1 2", 2],
    ["]", 0],
    ["[01]", 2],
    ['["ab\ncd"]', 4],
    ['["ab\\xcd"]', 4],
    ['{"a": tru}', 6],
    ["\ufeff{}", 0],
  ])("of %j is %i", (text, position) => {
    expect(isJson(text)).toBe(false);
    expect(jsonFaultPosition(text)).toBe(position);
  });

  it("lies within or at the end of the text, and before it stands nothing that is wrong", () => {
    const broken = fc
      .tuple(fc.json(), fc.nat(), fc.constantFrom("", "}", "]", ",", '"', "x", ":", "\\", "1", " "))
      .map(([json, at, sign]) => {
        const place = at % (json.length + 1);
        return json.slice(0, place) + sign + json.slice(place + 1);
      });
    fc.assert(
      fc.property(broken, (text) => {
        const position = jsonFaultPosition(text);
        expect(position).toBeGreaterThanOrEqual(0);
        expect(position).toBeLessThanOrEqual(text.length);
        if (isJson(text)) expect(position).toBe(text.length);
      }),
      { numRuns: 2000 },
    );
  });

  it("is found however deep or long the text is", () => {
    expect(jsonFaultPosition("[".repeat(100_000))).toBe(100_000);
    expect(jsonFaultPosition(`["${"x\\n".repeat(2_000_000)}\u0001`)).toBe(2 + 6_000_000);
  });

  it("is told with line and column, and as a fault", () => {
    let thrown: unknown;
    try {
      parseJson('{\n  "a": 1,\n  b\n}', "the body");
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(InvalidInput);
    expect((thrown as InvalidInput).message).toContain("position 14 (line 3, column 3)");
  });
});

describe("a body's text", () => {
  it("is refused where it is not UTF-8", () => {
    expect(() => decodeUtf8(Buffer.of(0xc3, 0x28), "the body")).toThrow(InvalidInput);
  });
});
