import { cursorAt, readLong } from "./binary-reader.ts";
import { type Codec, decompress, release } from "./codec.ts";
import { corrupt } from "./corrupt.ts";
import { SYNC_BYTES } from "./header.ts";
import { recordDecoder } from "./record-decoder.ts";
import type { StoredRecord } from "./stored-record.ts";

/** A block as it lies in an object: its count and size, the data, the sync marker. */
export interface Frame {
  /** Where its count starts. */
  offset: number;
  /** Records in it. */
  count: number;
  dataStart: number;
  dataEnd: number;
  /** Behind its sync marker. */
  end: number;
}

/** The least that a record can take. */
const MIN_RECORD_BYTES = 20;

/**
 * The block at `offset` as its first bytes tell it; its end may lie beyond that of `bytes`.
 * Throws StoreError `object_corrupt` where they cannot be those of a block.
 */
export function readFrame(bytes: Buffer, offset: number): Frame {
  const cursor = cursorAt(bytes, offset);
  const count = readLong(cursor);
  const size = readLong(cursor);
  if (count < 0 || size < 0 || !Number.isSafeInteger(count) || !Number.isSafeInteger(size)) {
    throw corrupt(`the block at byte ${offset} counts ${count} records in ${size} bytes`);
  }
  const dataEnd = cursor.at + size;
  return { offset, count, dataStart: cursor.at, dataEnd, end: dataEnd + SYNC_BYTES };
}

/**
 * Reads all records of one block of FORMAT_VERSION; `bytes` is exactly that block, as located. Binary values are slices of the
 * decompressed block (see record-decoder.ts). Throws StoreError `object_corrupt`.
 */
export async function readBlock(bytes: Buffer, codec: Codec): Promise<StoredRecord[]> {
  const frame = wholeFrame(bytes);
  return decodeBlock(await decompress(codec, bytes.subarray(frame.dataStart, frame.dataEnd)), frame.count);
}

/**
 * Reads one record of a block of FORMAT_VERSION; those before it are passed over. Its binary values hold no memory but their own.
 * Throws StoreError `object_corrupt`.
 */
export async function readRecord(bytes: Buffer, codec: Codec, blockPosition: number): Promise<StoredRecord> {
  const frame = wholeFrame(bytes);
  if (!(blockPosition >= 0 && blockPosition < frame.count))
    throw corrupt(`the block has no record ${blockPosition}, it has ${frame.count}`);
  const stored = bytes.subarray(frame.dataStart, frame.dataEnd);
  const data = await decompress(codec, stored);
  const cursor = cursorAt(data);
  const decoder = recordDecoder();
  for (let i = 0; i < blockPosition; i++) decoder.skip(cursor);
  const start = cursor.at;
  decoder.skip(cursor);
  const own = Buffer.from(data.subarray(start, cursor.at));
  if (data !== stored) release(data);
  return decoder.read(cursorAt(own));
}

/** Decodes the records of a decompressed block. Throws StoreError `object_corrupt`. */
export function decodeBlock(data: Buffer, count: number): StoredRecord[] {
  if (count * MIN_RECORD_BYTES > data.length) throw corrupt(`a block of ${data.length} bytes counts ${count} records`);
  const cursor = cursorAt(data);
  const decoder = recordDecoder();
  const records: StoredRecord[] = [];
  for (let i = 0; i < count; i++) records.push(decoder.read(cursor));
  if (cursor.at !== data.length) throw corrupt(`a block has ${data.length - cursor.at} bytes behind its last record`);
  return records;
}

function wholeFrame(bytes: Buffer): Frame {
  const frame = readFrame(bytes, 0);
  if (frame.end !== bytes.length) throw corrupt(`the located block has ${bytes.length} bytes, by its own count ${frame.end}`);
  return frame;
}
