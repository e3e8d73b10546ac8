import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { StoredRecord } from "../../shared/core/avro/stored-record.ts";
import { digestOf } from "../../shared/core/digest.ts";
import { indexedValueOf, indexRecordOf, MAX_INDEXED_VALUE_BYTES } from "../../shared/core/index-record.ts";
import {
  type Attribute,
  binaryAttribute,
  booleanAttribute,
  doubleAttribute,
  longAttribute,
  type Message,
  NO_SEQUENCE,
  nullAttribute,
  stringAttribute,
  timestampAttribute,
} from "../../shared/core/message.ts";
import { message } from "../fixtures/messages.ts";

const PLACE = {
  store: "local",
  key: "orders/1.avro",
  codec: "zstandard",
  formatVersion: 1,
  location: { position: 12, blockOffset: 345, blockLength: 678, blockPosition: 9 },
};

const stored = (change: Partial<Message>, more: Partial<StoredRecord> = {}): StoredRecord => {
  const one = message(1, change);
  return { message: one, digest: digestOf(one), ingestionTimeUs: 1_700_000_000_123_456, pipeline: "orders-pipeline", ...more };
};
const recordOf = (change: Partial<Message>, more?: Partial<StoredRecord>) => indexRecordOf(stored(change, more), PLACE);
/** As it goes over the wire: what is absent is not there. */
const asJson = (value: unknown) => JSON.parse(JSON.stringify(value));

describe("an index record", () => {
  it("has a message's metadata, its digest and its exact place", () => {
    const one = message(1, {
      brokerId: "orders",
      brokerMessageId: "0-17",
      partition: "3",
      sequence: 17n,
      orderingKey: "customer 9",
      publishTimeUs: 1_700_000_000_999_999,
      payload: Buffer.from("äö"),
      contentType: "text/plain",
      attributes: [
        stringAttribute("business_source_key", "shop"),
        stringAttribute("business_object_key", "order 9"),
        stringAttribute("a", "1"),
      ],
    });
    expect(indexRecordOf({ ...stored({}), message: one, digest: digestOf(one) }, PLACE)).toEqual({
      unique_id: "orders_0-17",
      broker_id: "orders",
      broker_msg_id: "0-17",
      ordering_key: "customer 9",
      business_source_key: "shop",
      business_object_key: "order 9",
      index_source_key: "orders-pipeline",
      partition: "3",
      sequence: 17,
      store: "local",
      location_key: "orders/1.avro",
      location_position: 12,
      block_offset: 345,
      block_length: 678,
      block_position: 9,
      codec: "zstandard",
      format_version: 1,
      payload_size: 4,
      content_type: "text/plain",
      digest: digestOf(one).toString("hex"),
      publish_time: 1_700_000_000_999,
      ingestion_time: 1_700_000_000_123,
      indexer_ingestion_time: 0,
      attributes: [
        ["business_source_key", "shop"],
        ["business_object_key", "order 9"],
        ["a", "1"],
      ],
      truncated_attributes: undefined,
    });
  });

  it("lacks what the message lacks, rather than having it empty", () => {
    const record = asJson(
      recordOf({ partition: "", sequence: NO_SEQUENCE, orderingKey: "", contentType: "", attributes: [] }, { pipeline: "" }),
    );
    for (const name of [
      "partition",
      "sequence",
      "ordering_key",
      "content_type",
      "index_source_key",
      "business_source_key",
      "business_object_key",
      "truncated_attributes",
    ])
      expect(record).not.toHaveProperty(name);
    expect(record.attributes).toEqual([]);
  });

  it.each([
    [0n, 0],
    [2n ** 53n - 1n, 2 ** 53 - 1],
    [2n ** 53n, "9007199254740992"],
    [2n ** 63n - 1n, "9223372036854775807"],
    [-2n, -2],
    [-(2n ** 63n), "-9223372036854775808"],
  ])("has the sequence %s exactly", (sequence, wanted) => expect(recordOf({ sequence }).sequence).toBe(wanted));

  it("has times before 1970 and far away, cut to the millisecond downwards", () => {
    expect(recordOf({ publishTimeUs: -1 }).publish_time).toBe(-1);
    expect(recordOf({ publishTimeUs: 253_402_300_800_000_000 }).publish_time).toBe(253_402_300_800_000);
  });

  it("keeps every attribute in its order, also repeated and empty names", () => {
    const attributes = [
      stringAttribute("b", "1"),
      stringAttribute("", ""),
      longAttribute("b", 2n),
      stringAttribute("__proto__", "x"),
      stringAttribute("b", "1"),
    ];
    expect(recordOf({ attributes }).attributes).toEqual([
      ["b", "1"],
      ["", ""],
      ["b", 2],
      ["__proto__", "x"],
      ["b", "1"],
    ]);
  });

  it("takes a business key only from text", () => {
    expect(recordOf({ attributes: [longAttribute("business_source_key", 7n)] }).business_source_key).toBeUndefined();
    const twice = [binaryAttribute("business_source_key", Buffer.from("x")), stringAttribute("business_source_key", "shop")];
    expect(recordOf({ attributes: twice }).business_source_key).toBe("shop");
  });
});

const ofAmqp = (kind: string, hex: string): Attribute => ({ name: "a", kind: `amqp:${kind}`, value: Buffer.from(hex, "hex") });

describe("an attribute's value in the index", () => {
  it.each<[string, Attribute, unknown]>([
    ["text", stringAttribute("a", "ü\u0000"), "ü\u0000"],
    ["text like a number", stringAttribute("a", "007"), "007"],
    ["true", booleanAttribute("a", true), true],
    ["false", booleanAttribute("a", false), false],
    ["null", nullAttribute("a"), null],
    ["a long", longAttribute("a", -5n), -5],
    ["the largest exact long", longAttribute("a", 2n ** 53n - 1n), 2 ** 53 - 1],
    ["a long past it", longAttribute("a", 2n ** 53n), "9007199254740992"],
    ["the least long", longAttribute("a", -(2n ** 63n)), "-9223372036854775808"],
    ["a double", doubleAttribute("a", 4.5), 4.5],
    ["no number", doubleAttribute("a", Number.NaN), "NaN"],
    ["infinity", doubleAttribute("a", Number.NEGATIVE_INFINITY), "-Infinity"],
    ["a time", timestampAttribute("a", 1_700_000_000_000n), 1_700_000_000_000],
    ["bytes", binaryAttribute("a", Buffer.from([0, 255])), { $binary: "AP8=" }],
    ["no bytes", binaryAttribute("a", new Uint8Array(0)), { $binary: "" }],
    ["a kind that is not known", { name: "a", kind: "amqp:decimal64", value: Buffer.alloc(2, 1) }, { $binary: "AQE=" }],
    ["a kind with bytes of another", { name: "a", kind: "amqp:uuid", value: Buffer.alloc(2, 1) }, { $binary: "AQE=" }],
    ["an unsigned byte", ofAmqp("ubyte", "ff"), 255],
    ["an unsigned short", ofAmqp("ushort", "ffff"), 65_535],
    ["an unsigned int", ofAmqp("uint", "00000063"), 99],
    ["an unsigned long", ofAmqp("ulong", "0000000000000007"), 7],
    ["the largest unsigned long", ofAmqp("ulong", "ffffffffffffffff"), "18446744073709551615"],
    ["a byte", ofAmqp("byte", "ff"), -1],
    ["a short", ofAmqp("short", "fffe"), -2],
    ["an int", ofAmqp("int", "80000000"), -2_147_483_648],
    ["a float", ofAmqp("float", "3dcccccd"), 0.1],
    ["no number in a float", ofAmqp("float", "7fc00000"), "NaN"],
    ["a character", ofAmqp("char", "0001f600"), "😀"],
    ["half a character", ofAmqp("char", "0000d800"), { $binary: "AADYAA==" }],
    ["a symbol", ofAmqp("symbol", "6869"), "hi"],
    ["a UUID", ofAmqp("uuid", "00112233445566778899aabbccddeeff"), "00112233-4455-6677-8899-aabbccddeeff"],
  ])("of %s", (_, attribute, wanted) => {
    expect(indexedValueOf(attribute)).toEqual(wanted);
    expect(asJson([indexedValueOf(attribute)])).toEqual([wanted]);
  });

  it("is read from bytes that lie within others", () => {
    const around = Buffer.alloc(32, 0xff);
    const long = longAttribute("a", 1_234_567n).value as Uint8Array;
    around.set(long, 5);
    expect(indexedValueOf({ name: "a", kind: "long", value: around.subarray(5, 13) })).toBe(1_234_567);
    expect(indexedValueOf(binaryAttribute("a", around.subarray(5, 13)))).toEqual({ $binary: Buffer.from(long).toString("base64") });
  });

  it("is cut at 1,024 bytes, never inside a character, and the attribute is flagged once", () => {
    const attributes = [
      stringAttribute("fits", "x".repeat(1_024)),
      stringAttribute("long", "x".repeat(1_025)),
      stringAttribute("long", "y".repeat(70_000)),
      stringAttribute("wide", "\u{1F600}".repeat(300)),
      stringAttribute("edge", `${"x".repeat(1_023)}ü`),
    ];
    const { attributes: indexed, truncated_attributes: cut } = recordOf({ attributes });
    expect(indexed.map(([, value]) => value)).toEqual([
      "x".repeat(1_024),
      "x".repeat(1_024),
      "y".repeat(1_024),
      "\u{1F600}".repeat(256),
      "x".repeat(1_023),
    ]);
    expect(cut).toEqual(["long", "wide", "edge"]);
  });

  it("of whatever text is the text itself or its beginning, and says which", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 1_500 }), (text) => {
        const { attributes, truncated_attributes: cut } = recordOf({ attributes: [stringAttribute("a", text)] });
        const value = attributes[0]?.[1] as string;
        expect(text.startsWith(value)).toBe(true);
        expect(value.isWellFormed()).toBe(true);
        expect(Buffer.byteLength(value)).toBeLessThanOrEqual(MAX_INDEXED_VALUE_BYTES);
        expect(cut).toEqual(value === text ? undefined : ["a"]);
        if (cut) expect(Buffer.byteLength(value)).toBeGreaterThan(MAX_INDEXED_VALUE_BYTES - 4);
      }),
    );
  });
});
