import { crc32c } from "@platformatic/kafka";

// The record batch, magic 2: https://kafka.apache.org/documentation/#recordbatch

export const HEADER_BYTES = 61;
/** Bytes before those that the batch's own length counts. */
export const LENGTH_END = 12;
export const CRC_AT = 17;
export const CRC_FROM = 21;

export const COMPRESSION_BITS = 0b111;
export const LOG_APPEND_TIME = 1 << 3;
export const TRANSACTIONAL = 1 << 4;
export const CONTROL = 1 << 5;

/** One batch of a partition's log, not decompressed. */
export interface RecordBatch {
  baseOffset: number;
  /** Offset behind its last record, also where that was compacted away. */
  endOffset: number;
  attributes: number;
  /** Milliseconds. */
  baseTimestamp: bigint;
  maxTimestamp: bigint;
  producerId: bigint;
  recordCount: number;
  /** The records, compressed as `attributes` say: a view. */
  records: Buffer;
}

/** Bytes that are no record batch, or one that was damaged on its way. */
export class BadBatch extends Error {}

/**
 * Reads the whole batches of `bytes`, in order; a last one that a fetch cut off is left out. Throws BadBatch: also for the formats before
 * Kafka 0.11, and where the checksum is another.
 */
export function* readBatches(bytes: Buffer): Generator<RecordBatch> {
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const end = at + LENGTH_END + bytes.readInt32BE(at + 8);
    const magic = bytes[at + 16];
    if (magic !== 2) throw new BadBatch(`a batch has the record format ${magic}; this program reads format 2, of Kafka 0.11 and later`);
    if (end > bytes.length) return;
    if (end < at + HEADER_BYTES) throw new BadBatch("a batch is shorter than its own header");
    if (crc32c(bytes.subarray(at + CRC_FROM, end)) !== bytes.readUInt32BE(at + CRC_AT)) {
      throw new BadBatch(`the batch at offset ${bytes.readBigInt64BE(at)} has another checksum than its bytes`);
    }
    const baseOffset = Number(bytes.readBigInt64BE(at));
    yield {
      baseOffset,
      endOffset: baseOffset + bytes.readInt32BE(at + 23) + 1,
      attributes: bytes.readInt16BE(at + 21),
      baseTimestamp: bytes.readBigInt64BE(at + 27),
      maxTimestamp: bytes.readBigInt64BE(at + 35),
      producerId: bytes.readBigInt64BE(at + 43),
      recordCount: bytes.readInt32BE(at + 57),
      records: bytes.subarray(at + HEADER_BYTES, end),
    };
    at = end;
  }
}
