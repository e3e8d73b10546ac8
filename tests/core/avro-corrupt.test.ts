import { zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { writeLong } from "../../shared/core/avro/binary-writer.ts";
import {
  CODECS,
  type Codec,
  type EncodedObject,
  encodeObject,
  type LocatedRecord,
  MAX_BLOCK_BYTES,
  type ObjectFault,
  readBlock,
  readObject,
  readRecord,
} from "../../shared/core/avro/object-file.ts";
import { digestOf } from "../../shared/core/digest.ts";
import { StoreError } from "../../shared/core/errors.ts";
import { anyRecord, stored } from "../fixtures/avro/records.ts";
import { messages } from "../fixtures/messages.ts";

const DEFAULTS = { brokerId: "?", pipeline: "?", topic: "?" };
const SYNC_BYTES = 16;
const records = messages(120).map(stored);

async function encoded(
  codec: Codec,
): Promise<{ bytes: Buffer; object: EncodedObject; blocks: { offset: number; end: number; first: number; count: number }[] }> {
  const object = await encodeObject(records, { codec, syncSeed: "seed", blockBytes: 2500 });
  const blocks = new Map<number, { offset: number; end: number; first: number; count: number }>();
  for (const { blockOffset, blockLength, position } of object.locations) {
    const block = blocks.get(blockOffset) ?? { offset: blockOffset, end: blockOffset + blockLength, first: position, count: 0 };
    block.count++;
    blocks.set(blockOffset, block);
  }
  return { bytes: Buffer.concat(object.pieces), object, blocks: [...blocks.values()] };
}

async function readParts(bytes: Buffer): Promise<{ found: LocatedRecord[]; faults: ObjectFault[] }> {
  const found: LocatedRecord[] = [];
  const faults: ObjectFault[] = [];
  for await (const part of readObject(bytes, DEFAULTS)) {
    if ("fault" in part) faults.push(part.fault);
    else found.push(...part.records);
  }
  return { found, faults };
}

const ids = (found: readonly LocatedRecord[]) => found.map(({ record }) => record.message.brokerMessageId);
const idsWithout = (...lost: { first: number; count: number }[]) =>
  records.map(({ message }) => message.brokerMessageId).filter((_, i) => !lost.some(({ first, count }) => i >= first && i < first + count));

/** Damages a block: the count and size before the data (`head`), the data, or the marker behind it. */
function damage(bytes: Buffer, at: number, length = 1): Buffer {
  const damaged = Buffer.from(bytes);
  for (let i = at; i < at + length; i++) damaged[i] = (damaged[i] as number) ^ 0x55;
  return damaged;
}

describe.each(CODECS.map((codec) => [codec] as [Codec]))("a damaged object with codec %s", (codec) => {
  it("loses only the block whose content is damaged, and tells which", async () => {
    const { bytes, blocks } = await encoded(codec);
    const block = blocks[3] as (typeof blocks)[number];
    // From the first record's lengths on, so that no codec can take it for content.
    const { found, faults } = await readParts(damage(bytes, block.offset + 4, 40));
    expect(ids(found)).toEqual(idsWithout(block));
    expect(faults).toMatchObject([
      { position: block.first, blockOffset: block.offset, count: block.count, error: { code: "object_corrupt", retryable: false } },
    ]);
    expect(found.at(-1)?.location.position).toBe(records.length - 1);
  });

  it("goes on behind the next marker where a block's own size is damaged, without guessing positions", async () => {
    const { bytes, object, blocks } = await encoded(codec);
    const block = blocks[2] as (typeof blocks)[number];
    const { found, faults } = await readParts(damage(bytes, block.offset + 1));
    expect(ids(found)).toEqual(idsWithout(block));
    expect(faults).toMatchObject([{ position: block.first, blockOffset: block.offset, count: null }]);
    const { position: _, ...place } = object.locations.at(-1) ?? { position: 0 };
    expect(found.at(-1)?.location).toEqual({ ...place, position: -1 });
  });

  it("loses nothing where only a marker between two blocks is damaged", async () => {
    const { bytes, blocks } = await encoded(codec);
    const { found, faults } = await readParts(damage(bytes, (blocks[1]?.end ?? 0) - 5));
    expect(ids(found)).toEqual(idsWithout());
    expect(faults).toEqual([]);
  });

  it("gives its whole blocks, then a fault, where it is cut off", async () => {
    const { bytes, blocks } = await encoded(codec);
    const block = blocks[4] as (typeof blocks)[number];
    for (const end of [block.offset + 1, block.offset + 5, block.end - SYNC_BYTES, block.end - 1]) {
      const { found, faults } = await readParts(bytes.subarray(0, end));
      expect(ids(found)).toEqual(idsWithout({ first: block.first, count: records.length }));
      expect(faults).toMatchObject([{ position: block.first, blockOffset: block.offset }]);
    }
  });

  it("never gives anything but records and faults, whatever bytes are damaged", async () => {
    const { bytes, blocks } = await encoded(codec);
    const headerEnd = blocks[0]?.offset ?? 0;
    const anywhere = fc.integer({ min: headerEnd, max: bytes.length - 1 });
    await fc.assert(
      fc.asyncProperty(
        anywhere,
        fc.integer({ min: 1, max: 300 }),
        fc.constantFrom("flip", "zero", "ones", "cut", "insert"),
        async (at, length, how) => {
          const end = Math.min(at + length, bytes.length);
          const damaged =
            how === "cut"
              ? Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)])
              : how === "insert"
                ? Buffer.concat([bytes.subarray(0, at), Buffer.alloc(length, at), bytes.subarray(at)])
                : how === "flip"
                  ? damage(bytes, at, end - at)
                  : Buffer.from(bytes).fill(how === "zero" ? 0 : 0xff, at, end);
          const { found, faults } = await readParts(damaged);
          for (const { error } of faults) expect(error).toBeInstanceOf(StoreError);
          const read = new Set(
            found
              .filter(({ record }) => digestOf(record.message).equals(record.digest))
              .map(({ record }) => record.message.brokerMessageId),
          );
          // One block may be lost besides those that are hit: the one whose head is looked for where nothing is.
          const untouched = blocks.filter((block) => block.end <= at || block.offset >= end + 600);
          for (const { first, count } of untouched) for (let i = first; i < first + count; i++) expect(read.has(String(i))).toBe(true);
          expect(found.length + faults.length).toBeGreaterThan(0);
        },
      ),
      { numRuns: 150 },
    );
  });

  it("has a damaged header refused", async () => {
    const { bytes, blocks } = await encoded(codec);
    const headerEnd = blocks[0]?.offset ?? 0;
    for (const end of [0, 3, 4, 10, 200, headerEnd - 1]) {
      await expect(readParts(bytes.subarray(0, end))).rejects.toMatchObject({ code: "object_corrupt" });
    }
    await expect(readParts(damage(bytes, 0))).rejects.toMatchObject({ code: "object_corrupt" });
    await expect(readParts(damage(bytes, 30, 60))).rejects.toMatchObject({ code: "object_corrupt" });
  });
});

describe("a block by its location", () => {
  const failsWell = async (reading: Promise<unknown>) => {
    try {
      await reading;
    } catch (error) {
      expect(error).toBeInstanceOf(StoreError);
      expect(error).toMatchObject({ code: "object_corrupt" });
    }
  };

  it("is refused as damaged, and nothing worse, whatever its bytes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom(...CODECS),
        fc.integer({ min: -1, max: 5 }),
        async (random, codec, position) => {
          const data = codec === "zstandard" ? zstdCompressSync(random) : Buffer.from(random);
          const bytes = framed(data, 3);
          await failsWell(readBlock(bytes, codec));
          await failsWell(readRecord(bytes, codec, position));
          await failsWell(readBlock(Buffer.from(random), codec));
        },
      ),
      { numRuns: 500 },
    );
  });

  it("is refused as damaged, and nothing worse, where a byte of a record is another", async () => {
    await fc.assert(
      fc.asyncProperty(anyRecord, fc.nat(), fc.integer({ min: 1, max: 255 }), async (record, place, change) => {
        const { pieces } = await encodeObject([record], { codec: "null", syncSeed: "s" });
        const block = Buffer.from(pieces[1] as Buffer);
        const at = place % block.length;
        block[at] = (block[at] as number) ^ change;
        await failsWell(readBlock(block, "null"));
        await failsWell(readRecord(block, "null", 0));
      }),
      { numRuns: 500 },
    );
  });

  it("is refused where it has not the length that its size says", async () => {
    const { bytes, blocks } = await encoded("zstandard");
    const { offset, end } = blocks[0] as (typeof blocks)[number];
    await expect(readBlock(bytes.subarray(offset, end + 1), "zstandard")).rejects.toMatchObject({ code: "object_corrupt" });
    await expect(readRecord(bytes.subarray(offset, end - 1), "zstandard", 0)).rejects.toMatchObject({ code: "object_corrupt" });
  });

  it("is refused where it has no such record", async () => {
    const { bytes, blocks } = await encoded("null");
    const { offset, end, count } = blocks[0] as (typeof blocks)[number];
    for (const position of [count, -1, Number.NaN]) {
      await expect(readRecord(bytes.subarray(offset, end), "null", position)).rejects.toMatchObject({ code: "object_corrupt" });
    }
  });

  it("is refused at once where a count or a length claims more than there is", async () => {
    const huge = Buffer.alloc(10);
    const claims = [2 ** 20, 2 ** 40, 2 ** 52 - 1, -(2 ** 40)].map((claim) => huge.subarray(0, writeLong(huge, 0, claim)).toString("hex"));
    for (const claim of claims) {
      const bytes = Buffer.from(claim, "hex");
      const lead = Buffer.from([0, 0]);
      for (const data of [bytes, Buffer.concat([lead, bytes]), Buffer.concat([lead, bytes, Buffer.alloc(3)])]) {
        await expect(readBlock(framed(Buffer.concat([data, Buffer.alloc(30)]), 1), "null")).rejects.toMatchObject({
          code: "object_corrupt",
        });
      }
      await expect(readBlock(Buffer.concat([bytes, bytes, Buffer.alloc(30)]), "null")).rejects.toMatchObject({ code: "object_corrupt" });
    }
  });

  it("is not decompressed past its limit", async () => {
    const bomb = zstdCompressSync(Buffer.alloc(MAX_BLOCK_BYTES + 1));
    await expect(readBlock(framed(bomb, 1), "zstandard")).rejects.toMatchObject({
      code: "object_corrupt",
      message: expect.stringMatching(/cannot be decompressed/),
    });
  });
});

/** `data` with a count and its true size before it, and a marker behind. */
function framed(data: Buffer, count: number): Buffer {
  const head = Buffer.alloc(20);
  const length = writeLong(head, writeLong(head, 0, count), data.length);
  return Buffer.concat([head.subarray(0, length), data, Buffer.alloc(SYNC_BYTES)]);
}
