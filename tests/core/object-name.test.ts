import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InvalidInput } from "../../shared/core/errors.ts";
import {
  binaryAttribute,
  booleanAttribute,
  doubleAttribute,
  longAttribute,
  type Message,
  nullAttribute,
  stringAttribute,
  uniqueIdOf,
} from "../../shared/core/message.ts";
import { batchHash, objectKey, parsePathMask, pathOf } from "../../shared/core/object-name.ts";
import { anyMessage } from "../fixtures/avro/records.ts";
import { message } from "../fixtures/messages.ts";

/** 2023-11-14T22:13:20Z. */
const TIME_US = 1_700_000_000_000_000;
const at = (change: Partial<Message>, template: string) =>
  pathOf(parsePathMask(template), message(0, { publishTimeUs: TIME_US, ...change }));
const typed = (type: string) => ({ attributes: [stringAttribute("type", type)] });
const KEY = {
  prefix: "raw",
  path: "orders/2023",
  firstUniqueId: "orders_1",
  count: 5,
  hash: "0123456789abcdef0123456789abcdef",
  extension: "avro",
};

/** The rules of the ObjectStore port. */
function breaksKeyRules(key: string): string | undefined {
  if (Buffer.byteLength(key) > 900) return "too long";
  if (/\p{Cc}/u.test(key)) return "control character";
  return key.split("/").some((segment) => segment === "" || segment === "." || segment === "..") ? "bad segment" : undefined;
}

describe("a path mask", () => {
  it("makes folders of topic, time and attributes", () => {
    expect(at(typed("order"), "{topic}/{year}/{month}/{day}/{hour}/{attribute:type}")).toBe("orders/2023/11/14/22/order");
  });

  it("may hold constants, also in Hive's style, and several placeholders in a segment", () => {
    expect(at({ ...typed("x"), partition: "7" }, "in/topic={topic}/day={year}-{month}-{day}/{hour}{minute}-p{partition}")).toBe(
      "in/topic=orders/day=2023-11-14/2213-p7",
    );
  });

  it("may be empty", () => {
    expect(at({}, "")).toBe("");
  });

  it("says unknown for what is missing or empty", () => {
    expect(at({ attributes: [], partition: "", topic: "" }, "{topic}/{partition}/t={attribute:type}")).toBe("unknown/unknown/t=unknown");
    expect(at(typed(""), "{attribute:type}")).toBe("unknown");
  });

  it("takes the first value of a repeated attribute, and values of other kinds as their text", () => {
    const attributes = [
      stringAttribute("twice", "first"),
      stringAttribute("twice", "second"),
      booleanAttribute("yes", true),
      booleanAttribute("no", false),
      longAttribute("long", -(2n ** 63n)),
      doubleAttribute("double", 1.5),
      binaryAttribute("binary", Buffer.from("b")),
      nullAttribute("null"),
    ];
    const template = ["twice", "yes", "no", "long", "double", "binary", "null"].map((name) => `{attribute:${name}}`).join("/");
    expect(at({ attributes }, template)).toBe("first/true/false/-9223372036854775808/1.5/unknown/unknown");
  });

  it("encodes all but unreserved characters", () => {
    expect(at(typed("a/b c+ä☃!'()*~_-.%"), "{attribute:type}")).toBe("a%2Fb%20c%2B%C3%A4%E2%98%83%21%27%28%29%2A~_-.%25");
    expect(at(typed("half \ud800"), "{attribute:type}")).toBe("half%20%EF%BF%BD");
  });

  it("never makes a segment of dots alone, not even of several values", () => {
    expect(at(typed("."), "{attribute:type}")).toBe("%2E");
    expect(at(typed(".."), "a/{attribute:type}")).toBe("a/%2E%2E");
    expect(at({ ...typed("."), topic: "." }, "{topic}{attribute:type}")).toBe("%2E%2E");
    expect(at(typed("."), "x{attribute:type}")).toBe("x%2E");
    expect(breaksKeyRules(at({ attributes: [stringAttribute("a", "x")] }, ".{attribute:a}"))).toBeUndefined();
  });

  it("takes the publish time in UTC, at every border", () => {
    const template = "{year}/{month}/{day}/{hour}/{minute}";
    expect(at({ publishTimeUs: 0 }, template)).toBe("1970/01/01/00/00");
    expect(at({ publishTimeUs: TIME_US - 1 }, template)).toBe("2023/11/14/22/13");
    expect(at({ publishTimeUs: Date.UTC(2024, 1, 29, 23, 59, 59, 999) * 1000 }, template)).toBe("2024/02/29/23/59");
    expect(at({ publishTimeUs: 253_402_300_799_999_000 }, template)).toBe("9999/12/31/23/59");
    for (const publishTimeUs of [-1, 253_402_300_800_000_000, 2 ** 63, -(2 ** 63), Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(at({ publishTimeUs }, template)).toBe("unknown/unknown/unknown/unknown/unknown");
    }
  });

  it("cuts a long segment with a hash of it whole, never inside an encoded character", () => {
    const hash = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 8);
    expect(at(typed("a".repeat(120)), "{attribute:type}")).toBe("a".repeat(120));
    expect(at(typed("a".repeat(121)), "{attribute:type}")).toBe(`${"a".repeat(111)}~${hash("a".repeat(121))}`);
    for (let lead = 0; lead < 4; lead++) {
      const path = at(typed("a".repeat(lead) + "ä".repeat(40)), "{attribute:type}");
      expect(path).toMatch(/^a*(%C3%A4)*(%C3)?~[0-9a-f]{8}$/);
      expect(path.length).toBeLessThanOrEqual(120);
    }
    expect(at(typed("a".repeat(200)), "{attribute:type}")).not.toBe(at(typed("a".repeat(201)), "{attribute:type}"));
  });

  it.each([
    ["/a", "empty segment"],
    ["a//b", "empty segment"],
    ["a/", "empty segment"],
    ["../a", '".."'],
    ["a/./b", '"."'],
    ["a\u0000b", "control character"],
    ["a\nb", "control character"],
    ["{topic", "not closed"],
    ["a/{attribute:x/b}", "not closed"],
    ["topic}", "never opened"],
    ["{tpoic}", "{tpoic}"],
    ["{Topic}", "{Topic}"],
    ["{}", "{}"],
    ["{attribute:}", "{attribute:}"],
    ["{second}", "{second}"],
    ["a\ud800", "well-formed"],
  ])("is refused as %j, naming what is wrong", (template, problem) => {
    expect(() => parsePathMask(template)).toThrow(InvalidInput);
    expect(() => parsePathMask(template)).toThrow(problem);
  });

  it("gives the same path however many others it made before", () => {
    const mask = parsePathMask("{attribute:type}/{hour}");
    const fresh = (type: string) => pathOf(parsePathMask("{attribute:type}/{hour}"), message(1, typed(type)));
    for (let i = 0; i < 10_000; i++) pathOf(mask, message(i, typed(`t${i}`)));
    for (const type of ["t1", "t9999", "new", "x".repeat(5000)]) expect(pathOf(mask, message(1, typed(type)))).toBe(fresh(type));
  });
});

describe("an object key", () => {
  it("is prefix, path, first id, count, hash and extension", () => {
    expect(objectKey(KEY)).toBe("raw/orders/2023/orders_1-5-0123456789abcdef0123456789abcdef.avro");
    expect(objectKey({ ...KEY, prefix: "", path: "" })).toBe("orders_1-5-0123456789abcdef0123456789abcdef.avro");
    expect(objectKey({ ...KEY, prefix: "/a/b/", firstUniqueId: "o/1 ä" })).toBe(
      "a/b/orders/2023/o%2F1%20%C3%A4-5-0123456789abcdef0123456789abcdef.avro",
    );
  });

  it("obeys the rules for keys, stays below its prefix and is the same again, whatever the message", () => {
    const templates = [
      "{topic}/{year}/{hour}/{attribute:type}",
      "{attribute:a}{attribute:b}/x={partition}",
      "",
      Array.from({ length: 12 }, () => "{topic}").join("/"),
    ];
    const masks = templates.map(parsePathMask);
    const prefixes = ["", "raw", "lake/räw", `${"p".repeat(199)}/${"q".repeat(200)}`];
    const nasty = fc.oneof(fc.constantFrom(".", "..", "", "/", "\u0000", "x".repeat(5000), "☃".repeat(300)), fc.string({ unit: "binary" }));
    fc.assert(
      fc.property(anyMessage, nasty, nasty, fc.constantFrom(...masks), fc.constantFrom(...prefixes), (some, id, text, mask, prefix) => {
        const attributes = [stringAttribute("a", text), stringAttribute("b", id), stringAttribute("type", text), ...some.attributes];
        const odd: Message = { ...some, topic: text, brokerMessageId: id, attributes };
        const key = () =>
          objectKey({ ...KEY, prefix, path: pathOf(parsePathMask(mask.template), odd), firstUniqueId: uniqueIdOf(odd), count: 1_000_000 });
        expect(breaksKeyRules(key())).toBeUndefined();
        expect(key().startsWith(prefix === "" ? "" : `${prefix}/`)).toBe(true);
        expect(key()).toBe(key());
        expect(pathOf(mask, odd)).toBe(pathOf(parsePathMask(mask.template), odd));
      }),
      { numRuns: 500 },
    );
  });

  it("differs where only the end of a long id or path does", () => {
    const long = (end: string) => `${Array.from({ length: 8 }, () => "s".repeat(120)).join("/")}/${end}`;
    expect(Buffer.byteLength(objectKey({ ...KEY, path: long("a") }))).toBeLessThanOrEqual(900);
    expect(objectKey({ ...KEY, path: long("a") })).not.toBe(objectKey({ ...KEY, path: long("b") }));
    expect(objectKey({ ...KEY, firstUniqueId: `${"i".repeat(500)}a` })).not.toBe(
      objectKey({ ...KEY, firstUniqueId: `${"i".repeat(500)}b` }),
    );
  });

  it.each(["a/../b", "..", "a//b", "a\u0001", "x".repeat(401), "./a"])("is refused for the prefix %j", (prefix) => {
    expect(() => objectKey({ ...KEY, prefix })).toThrow(InvalidInput);
  });
});

describe("a batch's hash", () => {
  const entry = fc.record({
    uniqueId: fc.string({ unit: "binary" }),
    digest: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
  });

  it("is SHA-256 over every id and digest behind their lengths, cut to 32 digits", () => {
    const digest = Buffer.alloc(32, 7);
    const length = (bytes: number) => Buffer.from([0, 0, 0, bytes]);
    const input = ["é", "b"].flatMap((id) => [length(Buffer.byteLength(id)), Buffer.from(id), length(32), digest]);
    const expected = createHash("sha256").update(Buffer.concat(input)).digest("hex").slice(0, 32);
    expect(
      batchHash([
        { uniqueId: "é", digest },
        { uniqueId: "b", digest },
      ]),
    ).toBe(expected);
  });

  it("is another for another list, in any part or order", () => {
    const text = (list: readonly { uniqueId: string; digest: Buffer }[]) =>
      JSON.stringify(list.map(({ uniqueId, digest }) => [uniqueId, digest.toString("hex")]));
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 6 }), fc.array(entry, { maxLength: 6 }), (first, second) => {
        for (const other of [second, first.toReversed(), first.slice(1), [...first, ...second]]) {
          expect(batchHash(first) === batchHash(other)).toBe(text(first) === text(other));
        }
      }),
    );
  });

  it("takes any iterable, of any length", () => {
    const digest = Buffer.alloc(32);
    function* entries(uniqueId: string) {
      for (let i = 0; i < 30_000; i++) yield { uniqueId, digest };
    }
    expect(batchHash(entries("x".repeat(200)))).toBe(batchHash([...entries("x".repeat(200))]));
    expect(batchHash(entries("x".repeat(200)))).not.toBe(batchHash(entries("x".repeat(199))));
  });
});
