import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cursorAt } from "../../shared/core/avro/binary-reader.ts";
import { recordDecoder } from "../../shared/core/avro/record-decoder.ts";
import { recordBound, writeRecord } from "../../shared/core/avro/record-encoder.ts";
import type { StoredRecord } from "../../shared/core/avro/stored-record.ts";
import { binaryAttribute, stringAttribute } from "../../shared/core/message.ts";
import { anyRecord, plain, stored } from "../fixtures/avro/records.ts";
import { recordType, rowOf } from "../fixtures/avro/second-implementation.ts";
import { message } from "../fixtures/messages.ts";

function encode(...records: StoredRecord[]): Buffer {
  const buffer = Buffer.alloc(records.reduce((sum, record) => sum + recordBound(record), 0));
  let at = 0;
  for (const record of records) at = writeRecord(buffer, at, record);
  return buffer.subarray(0, at);
}

function decode(bytes: Buffer, count: number): StoredRecord[] {
  const decoder = recordDecoder();
  const cursor = cursorAt(bytes);
  const records = Array.from({ length: count }, () => decoder.read(cursor));
  expect(cursor.at).toBe(bytes.length);
  return records;
}

/** avsc's rows and ours, comparable: plain objects, bytes as Buffers. */
function comparable(row: unknown): unknown {
  return JSON.parse(JSON.stringify(row, (_, value) => (typeof value === "bigint" ? `${value}n` : value)));
}

describe("the record's encoding", () => {
  it("gives back any message unaltered, its attributes in their order", () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { minLength: 1, maxLength: 5 }), (records) => {
        expect(decode(encode(...records), records.length).map(plain)).toEqual(records.map(plain));
      }),
      { numRuns: 300 },
    );
  });

  it("is what a second implementation reads by the schema", () => {
    fc.assert(
      fc.property(anyRecord, (record) => {
        const bytes = encode(record);
        expect(comparable(recordType.fromBuffer(bytes))).toEqual(comparable(rowOf(record)));
      }),
      { numRuns: 300 },
    );
  });

  it("reads what a second implementation writes by the schema", () => {
    fc.assert(
      fc.property(anyRecord, (record) => {
        const [read] = decode(recordType.toBuffer(rowOf(record)), 1);
        expect(plain(read as StoredRecord)).toEqual(plain(record));
      }),
      { numRuns: 300 },
    );
  });

  it("passes over a record as far as reading it would go", () => {
    fc.assert(
      fc.property(anyRecord, anyRecord, (skipped, read) => {
        const cursor = cursorAt(encode(skipped, read));
        const decoder = recordDecoder();
        decoder.skip(cursor);
        expect(plain(decoder.read(cursor))).toEqual(plain(read));
      }),
    );
  });

  it("keeps a string attribute in the map unless its name repeats or would be lost there", () => {
    const attributes = [
      stringAttribute("a", "1"),
      stringAttribute("b", "2"),
      stringAttribute("a", "3"),
      stringAttribute("__proto__", "4"),
      binaryAttribute("c", Buffer.from("5")),
    ];
    const row = recordType.fromBuffer(encode(stored(message(1, { attributes }))));
    expect(row.Metadata).toEqual({ b: "2" });
    expect(row.properties.map(({ name, position }: { name: string; position: number }) => [name, position])).toEqual([
      ["a", 0],
      ["a", 2],
      ["__proto__", 3],
      ["c", 4],
    ]);
  });

  it("keeps a lone attribute out of the map whose name would be lost there", () => {
    const record = stored(message(1, { attributes: [stringAttribute("__proto__", "kept")] }));
    const row = recordType.fromBuffer(encode(record));
    expect(row.Metadata).toEqual({});
    expect(row.properties).toMatchObject([{ name: "__proto__", kind: "string", position: 0 }]);
    expect(decode(encode(record), 1).map(plain)).toEqual([plain(record)]);
  });

  it("keeps every attribute where the stored positions make no sense", () => {
    const record = stored(
      message(1, {
        attributes: [stringAttribute("x", "1"), binaryAttribute("y", Buffer.from("2")), binaryAttribute("z", Buffer.from("3"))],
      }),
    );
    const row = rowOf(record) as { properties: { position: number }[] };
    for (const positions of [
      [-1, -1],
      [9, 9],
      [0, 0],
      [2_147_483_647, -2_147_483_648],
    ]) {
      row.properties.forEach((property, i) => {
        property.position = positions[i] as number;
      });
      const [read] = decode(recordType.toBuffer(row), 1);
      expect(read?.message.attributes.map(({ name }) => name).sort()).toEqual(["x", "y", "z"]);
    }
  });

  it("replaces only what is no text at all", () => {
    const [read] = decode(encode(stored(message(1, { attributes: [stringAttribute("half", "a\ud800b")] }))), 1);
    expect(read?.message.attributes).toEqual([stringAttribute("half", "a\ufffdb")]);
  });

  it("stores a time that 64 bits do not hold as the nearest that they do", () => {
    const times = [1e300, -1e300, Number.POSITIVE_INFINITY, Number.NaN, 1.5];
    const read = times.map((publishTimeUs) => decode(encode(stored(message(1, { publishTimeUs }))), 1)[0]?.message.publishTimeUs);
    expect(read).toEqual([2 ** 63, -(2 ** 63), 2 ** 63, 0, 1]);
  });

  it("works the digest out where none was stored", () => {
    const record = stored(message(1));
    const [read] = decode(recordType.toBuffer({ ...rowOf(record), digest: Buffer.alloc(0) }), 1);
    expect(read?.digest).toEqual(record.digest);
  });
});
