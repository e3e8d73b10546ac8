import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { digestOf } from "../../shared/core/digest.ts";
import { type Attribute, binaryAttribute, nullAttribute, stringAttribute } from "../../shared/core/message.ts";
import { message } from "../fixtures/messages.ts";

/** The rule as it is written down, without any of the short cuts. */
function plainDigest({ payloadKind, payload, key, orderingKey, contentType, attributes }: ReturnType<typeof message>): string {
  const hash = createHash("sha256").update(Uint8Array.of(1));
  const field = (value: string | Uint8Array) => {
    const bytes = Buffer.from(value as string);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  };
  field(payloadKind);
  field(payload);
  hash.update(Uint8Array.of(key === null ? 0 : 1));
  field(key ?? "");
  field(orderingKey);
  field(contentType);
  const sorted = attributes.toSorted((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  for (const { name, kind, value } of sorted) for (const part of [name, kind, value]) field(part);
  return hash.digest("hex");
}

const text = fc.string({ unit: "grapheme", maxLength: 40 });
const attribute: fc.Arbitrary<Attribute> = fc.oneof(
  fc
    .tuple(fc.oneof(text, fc.constantFrom("", "__proto__", "a", "\uffff", "\u{10000}")), text)
    .map(([name, value]) => stringAttribute(name, value)),
  fc.tuple(text, fc.uint8Array({ maxLength: 40 })).map(([name, value]) => binaryAttribute(name, value)),
  text.map(nullAttribute),
);

describe("the digest", () => {
  it("is SHA-256 over the length-prefixed fields, attributes sorted by the bytes of their names, repeats in their order", () => {
    fc.assert(
      fc.property(
        fc.array(attribute, { maxLength: 8 }),
        fc.uint8Array({ maxLength: 300 }),
        text,
        fc.option(fc.uint8Array()),
        (attributes, payload, orderingKey, key) => {
          const given = message(1, { attributes, payload, orderingKey, key });
          expect(digestOf(given).toString("hex")).toBe(plainDigest(given));
        },
      ),
      { numRuns: 500 },
    );
  });

  it("does not depend on ids, times or the broker's own properties", () => {
    const other = message(2, { payload: message(1).payload, attributes: message(1).attributes, system: [stringAttribute("session", "s")] });
    expect(digestOf(other)).toEqual(digestOf(message(1)));
  });

  it("tells an empty payload from none, an empty key from none, and text from the same bytes", () => {
    const variants = [
      { payload: Buffer.alloc(0) },
      { payload: Buffer.alloc(0), payloadKind: "null" as const },
      { payload: Buffer.alloc(0), key: Buffer.alloc(0) },
      { payload: Buffer.alloc(0), attributes: [stringAttribute("a", "b")] },
      { payload: Buffer.alloc(0), attributes: [binaryAttribute("a", Buffer.from("b"))] },
    ];
    const digests = variants.map((variant) => digestOf(message(1, variant)).toString("hex"));
    expect(new Set(digests).size).toBe(variants.length);
  });

  it("takes payloads of 10 MB and texts of 64 KB", () => {
    const given = message(1, { payload: Buffer.alloc(10_000_000, 7), attributes: [stringAttribute("large", "ü".repeat(32_768))] });
    expect(digestOf(given).toString("hex")).toBe(plainDigest(given));
  });
});
