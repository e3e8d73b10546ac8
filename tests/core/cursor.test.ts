import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InvalidInput } from "../../shared/core/errors.ts";
import { signedCursors } from "../../shared/core/query/cursor.ts";

const cursors = signedCursors("one secret of at least thirty-two bytes");
const position = fc.record({
  publishTimeMs: fc.integer({ min: -1e15, max: 1e15 }),
  uniqueId: fc.string({ unit: "binary" }),
  upperBoundMs: fc.option(fc.integer(), { nil: null }),
});

describe("a cursor", () => {
  it("gives back the position that it was made of", () => {
    fc.assert(
      fc.property(fc.string(), position, (query, at) => {
        expect(cursors.open(query, cursors.seal(query, at))).toEqual(at);
      }),
    );
  });

  it("is refused under every other query", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), position, (query, other, at) => {
        fc.pre(query !== other);
        expect(() => cursors.open(other, cursors.seal(query, at))).toThrow(InvalidInput);
      }),
    );
  });

  it("is refused where it was signed with another secret", () => {
    const foreign = signedCursors("another secret of at least thirty-two bytes");
    const sealed = foreign.seal("q", { publishTimeMs: 1, uniqueId: "a", upperBoundMs: null });
    expect(() => cursors.open("q", sealed)).toThrow(InvalidInput);
  });

  it("is refused where its position was changed", () => {
    const [, tag] = cursors.seal("q", { publishTimeMs: 1, uniqueId: "a", upperBoundMs: null }).split(".");
    const forged = Buffer.from(JSON.stringify([2, "a", null])).toString("base64url");
    expect(() => cursors.open("q", `${forged}.${tag}`)).toThrow(InvalidInput);
  });

  it("is refused, naming the cursor, where it is any other text", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        let thrown: unknown;
        try {
          cursors.open("q", text);
        } catch (error) {
          thrown = error;
        }
        expect(thrown).toBeInstanceOf(InvalidInput);
        expect((thrown as InvalidInput).faults[0]?.path).toBe("cursor");
      }),
    );
  });
});
