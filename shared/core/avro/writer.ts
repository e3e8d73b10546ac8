import { PersistorError } from "../errors.ts";
import { MAX_VARINT_BYTES, writeLong } from "./binary-writer.ts";
import { type Codec, compress, MAX_BLOCK_BYTES, release } from "./codec.ts";
import { SYNC_BYTES, syncMarkerOf, writeHeader } from "./header.ts";
import type { RecordLocation } from "./location.ts";
import { recordBound, writeRecord } from "./record-encoder.ts";
import type { StoredRecord } from "./stored-record.ts";

export interface EncodeOptions {
  codec: Codec;
  /** The sync marker is made from it: the same records, options and seed make the same bytes. */
  syncSeed: string;
  /** A block is closed before it grows past this, uncompressed; default 262,144. A larger record has a block of its own. */
  blockBytes?: number;
}

export interface EncodedObject {
  /** The object's bytes, in order. */
  pieces: Buffer[];
  byteLength: number;
  /** By the position of the record in the input. */
  locations: RecordLocation[];
}

export const DEFAULT_BLOCK_BYTES = 256 * 1024;

/** Blocks that are compressed at a time, at most: enough to keep the thread pool busy, and a bound on memory. */
const MAX_IN_FLIGHT = 4;
/** Room before a block's data for its count and size. */
const HEAD_BYTES = 2 * MAX_VARINT_BYTES;
/** Spare room behind `blockBytes`: the bound of a record is larger than the record. */
const SLACK_BYTES = 16 * 1024;

/**
 * Encodes records as one Avro object container file. Blocks are compressed in the thread pool while the next ones are encoded.
 * Throws PersistorError `too_large` for a record beyond what a reader decompresses (64 MiB).
 */
export async function encodeObject(records: readonly StoredRecord[], options: EncodeOptions): Promise<EncodedObject> {
  const blockBytes = Math.min(options.blockBytes ?? DEFAULT_BLOCK_BYTES, MAX_BLOCK_BYTES);
  const sync = syncMarkerOf(options.syncSeed);
  const blocks: Promise<SealedBlock>[] = [];
  const buffers = blockBuffers(blockBytes);
  for (let next = 0; next < records.length; ) {
    if (blocks.length >= MAX_IN_FLIGHT) await blocks[blocks.length - MAX_IN_FLIGHT];
    const block = fillBlock(records, next, buffers.take(), blockBytes);
    const sealed = sealBlock(block, options.codec, sync, buffers.giveBack);
    // A failure surfaces below, from Promise.all; until then it must not count as unhandled.
    sealed.catch(() => undefined);
    blocks.push(sealed);
    next += block.count;
  }
  const encoded = joined(writeHeader(options.codec, sync), await Promise.all(blocks));
  buffers.releaseAll();
  return encoded;
}

interface FilledBlock {
  /** The data starts at HEAD_BYTES. */
  buffer: Buffer;
  end: number;
  count: number;
}

interface SealedBlock {
  bytes: Buffer;
  count: number;
}

/** Encodes as many records from `first` on as the block may hold, one at least. */
function fillBlock(records: readonly StoredRecord[], first: number, empty: Buffer, blockBytes: number): FilledBlock {
  let buffer = empty;
  let at = HEAD_BYTES;
  let count = 0;
  for (let i = first; i < records.length; i++) {
    const record = records[i] as StoredRecord;
    if (count > 0 && at - HEAD_BYTES + record.message.payload.length > blockBytes) break;
    const bound = at + recordBound(record) + SYNC_BYTES;
    if (bound > buffer.length) buffer = grown(buffer, at, bound);
    const end = writeRecord(buffer, at, record);
    if (count > 0 && end - HEAD_BYTES > blockBytes) break;
    at = end;
    count++;
  }
  if (at - HEAD_BYTES > MAX_BLOCK_BYTES) {
    const { brokerId, brokerMessageId } = (records[first] as StoredRecord).message;
    throw new PersistorError(
      "too_large",
      `encoding message ${brokerMessageId} of ${brokerId}: over ${MAX_BLOCK_BYTES} bytes; dead-letter it`,
    );
  }
  return { buffer, end: at, count };
}

function grown(buffer: Buffer, used: number, needed: number): Buffer {
  const larger = Buffer.allocUnsafe(needed + SLACK_BYTES);
  buffer.copy(larger, 0, 0, used);
  return larger;
}

/** Puts count and size before the data and the sync marker behind it; without a codec that is the buffer itself, uncopied. */
async function sealBlock(block: FilledBlock, codec: Codec, sync: Buffer, giveBack: (buffer: Buffer) => void): Promise<SealedBlock> {
  const { buffer, end, count } = block;
  const data = await compress(codec, buffer.subarray(HEAD_BYTES, end));
  const head = Buffer.allocUnsafe(HEAD_BYTES);
  const headLength = writeLong(head, writeLong(head, 0, count), data.length);
  if (codec !== "null") {
    giveBack(buffer);
    const bytes = Buffer.concat([head.subarray(0, headLength), data, sync]);
    release(data);
    return { bytes, count };
  }
  const start = HEAD_BYTES - headLength;
  head.copy(buffer, start, 0, headLength);
  sync.copy(buffer, end);
  return { bytes: buffer.subarray(start, end + SYNC_BYTES), count };
}

/** Buffers to fill, used again once their block is compressed. */
function blockBuffers(blockBytes: number): { take(): Buffer; giveBack(buffer: Buffer): void; releaseAll(): void } {
  const size = HEAD_BYTES + blockBytes + SLACK_BYTES;
  const free: Buffer[] = [];
  return {
    take: () => free.pop() ?? Buffer.allocUnsafe(size),
    giveBack: (buffer) => {
      if (buffer.length <= 2 * size) free.push(buffer);
      else release(buffer);
    },
    releaseAll: () => free.forEach(release),
  };
}

function joined(header: Buffer, blocks: readonly SealedBlock[]): EncodedObject {
  const locations: RecordLocation[] = [];
  let blockOffset = header.length;
  for (const { bytes, count } of blocks) {
    const blockLength = bytes.length;
    for (let blockPosition = 0; blockPosition < count; blockPosition++) {
      locations.push({ position: locations.length, blockOffset, blockLength, blockPosition });
    }
    blockOffset += blockLength;
  }
  return { pieces: [header, ...blocks.map(({ bytes }) => bytes)], byteLength: blockOffset, locations };
}
