import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CODECS,
  type Codec,
  type EncodedObject,
  encodeObject,
  FORMAT_VERSION,
  type LocatedRecord,
  readBlock,
  readObject,
  readRecord,
} from "../../shared/core/avro/object-file.ts";
import type { StoredRecord } from "../../shared/core/avro/stored-record.ts";
import { stringAttribute } from "../../shared/core/message.ts";
import { anyRecord, plain, stored } from "../fixtures/avro/records.ts";
import { readAll } from "../fixtures/avro/second-implementation.ts";
import { message, messages } from "../fixtures/messages.ts";

const DEFAULTS = { brokerId: "?", pipeline: "?", topic: "?" };

async function located(bytes: Buffer): Promise<LocatedRecord[]> {
  const all: LocatedRecord[] = [];
  for await (const part of readObject(bytes, DEFAULTS)) {
    if ("fault" in part) throw part.fault.error;
    expect(part.formatVersion).toBe(FORMAT_VERSION);
    all.push(...part.records);
  }
  return all;
}

function block(bytes: Buffer, { locations }: EncodedObject, position: number): Buffer {
  const location = locations[position];
  if (location === undefined) throw new Error(`no location ${position}`);
  return bytes.subarray(location.blockOffset, location.blockOffset + location.blockLength);
}

describe.each(CODECS.map((codec) => [codec] as [Codec]))("an object with codec %s", (codec) => {
  const records = messages(500, (number) => ({ payload: Buffer.from(`{"number":${number},"text":"${"x".repeat(number % 90)}"}`) })).map(
    stored,
  );
  const encode = (some: readonly StoredRecord[], blockBytes = 8192) => encodeObject(some, { codec, syncSeed: "seed", blockBytes });

  it("gives back its records in their order, with the locations that were told at writing", async () => {
    const encoded = await encode(records);
    const bytes = Buffer.concat(encoded.pieces);
    expect(bytes.length).toBe(encoded.byteLength);
    const read = await located(bytes);
    expect(read.map(({ record }) => plain(record))).toEqual(records.map(plain));
    expect(read.map(({ location }) => location)).toEqual(encoded.locations);
    // Count, size and marker stand beside the data, which alone is bounded.
    for (const { blockLength } of encoded.locations) expect(blockLength).toBeLessThanOrEqual(8192 + 20);
    expect(new Set(encoded.locations.map(({ blockOffset }) => blockOffset)).size).toBeGreaterThan(5);
  });

  it("gives one block by its location alone, and one record of it", async () => {
    const encoded = await encode(records);
    const bytes = Buffer.concat(encoded.pieces);
    for (const position of [0, 1, 123, 498, 499]) {
      const { blockPosition = -1 } = encoded.locations[position] ?? {};
      const bytesOfBlock = block(bytes, encoded, position);
      const whole = await readBlock(bytesOfBlock, codec);
      expect(plain(whole[blockPosition] as StoredRecord)).toEqual(plain(records[position] as StoredRecord));
      expect(plain(await readRecord(bytesOfBlock, codec, blockPosition))).toEqual(plain(records[position] as StoredRecord));
    }
  });

  it("is the same, byte for byte, for the same records and seed", async () => {
    const [first, again, other] = [await encode(records), await encode(records), await encodeObject(records, { codec, syncSeed: "other" })];
    expect(Buffer.concat(first.pieces)).toEqual(Buffer.concat(again.pieces));
    expect(Buffer.concat(other.pieces).equals(Buffer.concat(first.pieces))).toBe(false);
    const marker = createHash("sha256").update("seed").digest().subarray(0, 16);
    expect(Buffer.concat(first.pieces).subarray(-16)).toEqual(marker);
  });

  it("holds no block above its size but for one record that is larger, alone", async () => {
    const mixed = [...records.slice(0, 20), stored(message(20, { payload: Buffer.alloc(50_000, 1) })), ...records.slice(21, 40)];
    const encoded = await encode(mixed);
    const bytes = Buffer.concat(encoded.pieces);
    const sizes = new Map(encoded.locations.map(({ blockOffset }) => [blockOffset, 0]));
    for (const { blockOffset } of encoded.locations) sizes.set(blockOffset, (sizes.get(blockOffset) ?? 0) + 1);
    expect(sizes.get(encoded.locations[20]?.blockOffset ?? -1)).toBe(1);
    expect((await located(bytes)).map(({ record }) => plain(record))).toEqual(mixed.map(plain));
  });

  it("may be empty", async () => {
    const encoded = await encode([]);
    expect(encoded.locations).toEqual([]);
    expect(await located(Buffer.concat(encoded.pieces))).toEqual([]);
  });

  it("is read by a second implementation", async () => {
    const { pieces } = await encode(records);
    const rows = await readAll(Buffer.concat(pieces));
    expect(rows.map(({ ID, Data, topic, Metadata }) => ({ ID, Data, topic, Metadata }))).toEqual(
      records.map(({ message: { brokerMessageId, payload, topic } }) => ({
        ID: brokerMessageId,
        Data: payload,
        topic,
        Metadata: { type: "order", number: brokerMessageId },
      })),
    );
  });

  it("carries a message of 16 MiB with large attributes", async () => {
    const large = stored(
      message(0, {
        payload: Buffer.alloc(16 * 1024 * 1024, "0123456789abcdef!"),
        attributes: [stringAttribute("big", "ä".repeat(500_000))],
      }),
    );
    const encoded = await encodeObject([...records.slice(1, 4), large], { codec, syncSeed: "seed" });
    const read = await readRecord(block(Buffer.concat(encoded.pieces), encoded, 3), codec, 0);
    expect(Buffer.from(read.message.payload).equals(large.message.payload)).toBe(true);
    expect(read.message.attributes).toEqual(large.message.attributes);
  });
});

describe("an object", () => {
  it("gives back any messages unaltered, whatever the size of its blocks", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyRecord, { maxLength: 12 }),
        fc.constantFrom(...CODECS),
        fc.integer({ min: 1, max: 3000 }),
        async (records, codec, blockBytes) => {
          const { pieces, locations } = await encodeObject(records, { codec, syncSeed: "s", blockBytes });
          const read = await located(Buffer.concat(pieces));
          expect(read.map(({ record }) => plain(record))).toEqual(records.map(plain));
          expect(read.map(({ location }) => location)).toEqual(locations);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("refuses a message that no reader would decompress, naming it", async () => {
    const huge = stored(message(7, { payload: Buffer.alloc(64 * 1024 * 1024) }));
    await expect(encodeObject([huge], { codec: "null", syncSeed: "s" })).rejects.toMatchObject({
      code: "too_large",
      message: expect.stringMatching(/message 7 of orders/),
    });
  });

  it("lets a single record be kept without its block", async () => {
    const records = messages(200, () => ({ payload: Buffer.alloc(1000, "x") })).map(stored);
    const encoded = await encodeObject(records, { codec: "zstandard", syncSeed: "s" });
    const record = await readRecord(block(Buffer.concat(encoded.pieces), encoded, 100), "zstandard", 100);
    expect(record.message.payload.buffer.byteLength).toBeLessThan(100_000);
  });
});
