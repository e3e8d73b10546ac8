import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type LocatedRecord, type ObjectPart, readObject } from "../../shared/core/avro/object-file.ts";
import { RECORD_SCHEMA } from "../../shared/core/avro/stored-record.ts";
import { digestOf } from "../../shared/core/digest.ts";
import { StoreError } from "../../shared/core/errors.ts";
import { stringAttribute } from "../../shared/core/message.ts";
import { anyRecord, plain, stored } from "../fixtures/avro/records.ts";
import { recordType, rowOf, typeOf, writeAll } from "../fixtures/avro/second-implementation.ts";
import { messages } from "../fixtures/messages.ts";

const DEFAULTS = { brokerId: "old-topic", pipeline: "old", topic: "old-topic" };
const FIELDS = [
  { name: "ID", type: "string" },
  { name: "Data", type: "bytes" },
];
const goObject = readFile(new URL("../fixtures/avro/go-original.avro", import.meta.url));

async function parts(bytes: Buffer): Promise<ObjectPart[]> {
  const all: ObjectPart[] = [];
  for await (const part of readObject(bytes, DEFAULTS)) all.push(part);
  return all;
}

async function located(bytes: Buffer): Promise<LocatedRecord[]> {
  return (await parts(bytes)).flatMap((part) => {
    if ("fault" in part) throw part.fault.error;
    expect(part.formatVersion).toBe(0);
    return part.records;
  });
}

describe("an object of the Go original", () => {
  it("is read whole, with what its messages do not tell taken from the defaults", async () => {
    const found = await located(await goObject);
    expect(found.map(({ record }) => record.message.brokerMessageId)).toEqual(Array.from({ length: 205 }, (_, i) => `id-${i}`));
    const { record, location } = found[204] as LocatedRecord;
    expect(record.message).toEqual({
      brokerId: "old-topic",
      brokerMessageId: "id-204",
      topic: "old-topic",
      partition: "",
      sequence: -1n,
      publishTimeUs: 0,
      payloadKind: "bytes",
      payload: Buffer.from('{"n":204}'),
      attributes: [stringAttribute("number", "204")],
      system: [],
      key: null,
      orderingKey: "",
      contentType: "",
    });
    expect(record).toMatchObject({ digest: digestOf(record.message), ingestionTimeUs: 0, pipeline: "old" });
    expect(location).toMatchObject({ position: 204, blockPosition: 4 });
  });

  it("keeps every attribute of its maps, also those that plain objects lose", async () => {
    const found = await located(await goObject);
    expect(found[1]?.record.message.attributes).toEqual([]);
    expect(found[2]?.record.message.attributes.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
      stringAttribute("", "unnamed"),
      stringAttribute("__proto__", "kept"),
      stringAttribute("größe", "☃ 😀"),
    ]);
    expect(found[3]?.record.message.payload).toEqual(Buffer.alloc(0));
  });

  it("never gives anything but records and faults, whatever byte is another", async () => {
    const whole = await goObject;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 240, max: whole.length - 1 }), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const bytes = Buffer.from(whole);
        bytes[at] = (bytes[at] as number) ^ change;
        for (const part of await parts(bytes)) {
          if ("fault" in part) expect(part.fault.error).toBeInstanceOf(StoreError);
          else expect(part.records.length).toBeLessThanOrEqual(100);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("an object of another writer", () => {
  it.each(["null", "deflate", "zstandard"])("is read exactly where it has our schema (codec %s)", async (codec) => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyRecord, { minLength: 1, maxLength: 5 }), async (records) => {
        const rows = records.map(rowOf);
        const found = await located(await writeAll(recordType, rows, codec));
        // What is empty counts as not told.
        const expected = records.map((record) => ({
          ...record,
          pipeline: record.pipeline || DEFAULTS.pipeline,
          message: {
            ...record.message,
            brokerId: record.message.brokerId || DEFAULTS.brokerId,
            topic: record.message.topic || DEFAULTS.topic,
          },
        }));
        expect(found.map(({ record }) => plain(record))).toEqual(expected.map(plain));
      }),
      { numRuns: 40 },
    );
  });

  it("is read through unions, other numbers, another order of fields and fields that we do not know", async () => {
    const type = typeOf({
      type: "record",
      name: "other",
      fields: [
        {
          name: "extra",
          type: {
            type: "array",
            items: {
              type: "record",
              name: "pair",
              fields: [
                { name: "a", type: "double" },
                { name: "b", type: "float" },
              ],
            },
          },
        },
        { name: "Metadata", type: ["null", { type: "map", values: ["null", "string", "bytes", "int"] }] },
        { name: "sequence", type: "int" },
        { name: "mark", type: { type: "fixed", name: "mark", size: 3 } },
        { name: "colour", type: { type: "enum", name: "colour", symbols: ["RED", "BLUE"] } },
        { name: "Data", type: ["null", "string"] },
        { name: "publish_time", type: ["null", "long"] },
        { name: "flag", type: "boolean" },
        { name: "ID", type: "long" },
      ],
    });
    const row = {
      extra: [{ a: 1.5, b: 2.5 }],
      Metadata: { text: "t", none: null, bytes: Buffer.from("b"), number: 7 },
      sequence: 12,
      mark: Buffer.from("abc"),
      colour: "BLUE",
      Data: "payload",
      publish_time: 1_700_000_000_000_000n,
      flag: true,
      ID: 42n,
    };
    const rows = [row, { ...row, Metadata: null, Data: null, publish_time: null }];
    const found = await located(await writeAll(type, rows));
    expect(
      found.map(({ record: { message } }) => [
        message.brokerMessageId,
        message.sequence,
        message.publishTimeUs,
        message.payloadKind,
        String(message.payload),
      ]),
    ).toEqual([
      ["42", 12n, 1_700_000_000_000_000, "bytes", "payload"],
      ["42", 12n, 0, "null", ""],
    ]);
    expect(found[0]?.record.message.attributes).toEqual([
      stringAttribute("text", "t"),
      stringAttribute("none", ""),
      { name: "bytes", kind: "binary", value: Buffer.from("b") },
      stringAttribute("number", "7"),
    ]);
  });

  it("is refused where its records are no messages, its codec is unknown or its schema is none", async () => {
    const noMessage = typeOf({ type: "record", name: "r", fields: [{ name: "ID", type: "string" }] });
    await expect(parts(await writeAll(noMessage, [{ ID: "1" }]))).rejects.toMatchObject({
      code: "object_corrupt",
      message: expect.stringMatching(/no fields ID and Data/),
    });
    const object = await writeAll(recordType, messages(1).map(stored).map(rowOf));
    const change = (from: string, to: string) => Buffer.from(object.toString("latin1").replace(from, to), "latin1");
    await expect(parts(change("\u0008null", "\u0008nope"))).rejects.toMatchObject({
      code: "object_corrupt",
      message: expect.stringMatching(/unknown codec "nope"/),
    });
    await expect(parts(change('"type":"record"', '"type":"recard"'))).rejects.toMatchObject({
      code: "object_corrupt",
      message: expect.stringMatching(/schema/),
    });
  });

  it("is refused as damaged where its values nest without end", async () => {
    const type = typeOf({
      type: "record",
      name: "node",
      fields: [...FIELDS, { name: "next", type: ["null", "node"] }],
    });
    let row: object | null = null;
    for (let i = 0; i < 200; i++) row = { ID: "1", Data: Buffer.alloc(0), next: row };
    const [part] = await parts(await writeAll(type, [row]));
    expect(part).toMatchObject({
      fault: { position: 0, count: 1, error: { code: "object_corrupt", message: expect.stringMatching(/nested/) } },
    });
  });

  it("is refused at once where it counts more items than there are bytes", async () => {
    const field = (type: object) => typeOf({ type: "record", name: "r", fields: [...FIELDS, { name: "x", type }] });
    const row = { ID: "1", Data: Buffer.alloc(0), x: [] };
    // A count of 2^40 - 1 where the empty array was: of nulls, which take no bytes at all.
    const object = await writeAll(field({ type: "array", items: "null" }), [row]);
    const size = object.length - 16 - 4 - 1;
    const count = Buffer.from([0xfe, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]);
    const claimed = Buffer.concat([
      object.subarray(0, size),
      Buffer.from([2 * (3 + count.length)]),
      object.subarray(size + 1, -17),
      count,
      object.subarray(-16),
    ]);
    const [part] = await parts(claimed);
    expect(part).toMatchObject({ fault: { error: { code: "object_corrupt", message: expect.stringMatching(/a count of \d+/) } } });
  });

  it("has the fields that every reader of the original knows, first", () => {
    expect(RECORD_SCHEMA.fields.slice(0, 3)).toEqual([
      { name: "ID", type: "string" },
      { name: "Data", type: "bytes" },
      { name: "Metadata", type: { type: "map", values: "string" } },
    ]);
    for (const field of RECORD_SCHEMA.fields.slice(3)) expect(field).toHaveProperty("default");
  });
});
