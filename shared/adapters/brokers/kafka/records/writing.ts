import { crc32c } from "@platformatic/kafka";
import { COMPRESSIONS, type Compression } from "../compressions.ts";
import { CRC_AT, CRC_FROM, HEADER_BYTES, LENGTH_END } from "./batch.ts";
import { compressRecords } from "./compression.ts";
import type { RawHeader } from "./headers.ts";

/** A record to be written. */
export interface OutgoingRecord {
  key: Uint8Array | null;
  value: Uint8Array | null;
  headers: readonly RawHeader[];
  /** Milliseconds. */
  timestamp: number | bigint;
}

/** Who writes a batch, and which of the writer's records in its partition the first one is. Absent: nobody is told apart. */
export interface ProducerState {
  id: bigint;
  epoch: number;
  sequence: number;
}

const MAX_VARINT_BYTES = 10;
const MAGIC = 2;

/** An upper bound, in bytes, of what a record takes of a batch, without compression. */
export function recordBound({ key, value, headers }: OutgoingRecord): number {
  let bound = 6 * MAX_VARINT_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) bound += 2 * MAX_VARINT_BYTES + bytesAtMost(header.name) + bytesAtMost(header.value ?? "");
  return bound;
}

function bytesAtMost(text: string | Uint8Array): number {
  return typeof text === "string" ? 3 * text.length : text.length;
}

/** Writes one batch, as https://kafka.apache.org/documentation/#recordbatch has it. */
export function writeBatch(records: readonly OutgoingRecord[], compression: Compression, producer?: ProducerState): Buffer {
  let bound = HEADER_BYTES;
  for (const record of records) bound += recordBound(record);
  const bytes = Buffer.allocUnsafe(bound);
  const base = BigInt(records[0]?.timestamp ?? 0);
  let latest = base;
  let at = HEADER_BYTES;
  for (let i = 0; i < records.length; i++) {
    const record = records[i] as OutgoingRecord;
    const timestamp = record.timestamp === records[0]?.timestamp ? base : BigInt(record.timestamp);
    if (timestamp > latest) latest = timestamp;
    at = writeRecord(bytes, at, record, BigInt.asIntN(64, timestamp - base), i);
  }
  const plain = bytes.subarray(HEADER_BYTES, at);
  const body = compressRecords(compression, plain);
  const batch = body === plain ? bytes.subarray(0, at) : Buffer.concat([bytes.subarray(0, HEADER_BYTES), body]);
  batch.writeBigInt64BE(0n, 0);
  batch.writeInt32BE(batch.length - LENGTH_END, 8);
  batch.writeInt32BE(-1, 12);
  batch[16] = MAGIC;
  batch.writeInt16BE(COMPRESSIONS.indexOf(compression), 21);
  batch.writeInt32BE(records.length - 1, 23);
  batch.writeBigInt64BE(base, 27);
  batch.writeBigInt64BE(latest, 35);
  batch.writeBigInt64BE(producer?.id ?? -1n, 43);
  batch.writeInt16BE(producer?.epoch ?? -1, 51);
  batch.writeInt32BE(producer?.sequence ?? -1, 53);
  batch.writeInt32BE(records.length, 57);
  batch.writeUInt32BE(crc32c(batch.subarray(CRC_FROM)), CRC_AT);
  return batch;
}

function writeRecord(bytes: Buffer, start: number, record: OutgoingRecord, timestampDelta: bigint, offsetDelta: number): number {
  // The length stands before what it counts: room for the longest is left, and what is not needed is closed.
  const from = start + 5;
  let at = from;
  bytes[at++] = 0;
  at = writeLong(bytes, at, timestampDelta);
  at = writeInt(bytes, at, offsetDelta);
  at = writeBytes(bytes, at, record.key);
  at = writeBytes(bytes, at, record.value);
  at = writeInt(bytes, at, record.headers.length);
  for (const { name, value } of record.headers) {
    at = writeBytes(bytes, at, name);
    at = writeBytes(bytes, at, value);
  }
  const length = at - from;
  const body = writeInt(bytes, start, length);
  bytes.copyWithin(body, from, at);
  return body + length;
}

function writeBytes(bytes: Buffer, at: number, value: string | Uint8Array | null): number {
  if (value === null) return writeInt(bytes, at, -1);
  if (typeof value === "string") return writeText(bytes, at, value);
  const from = writeInt(bytes, at, value.length);
  bytes.set(value, from);
  return from + value.length;
}

/** Up to this length a loop over the units beats the call into native code. */
const SHORT_TEXT = 24;

function writeText(bytes: Buffer, at: number, text: string): number {
  const { length } = text;
  if (length <= SHORT_TEXT) {
    let i = 0;
    for (; i < length; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 0x7f) break;
      bytes[at + 1 + i] = unit;
    }
    if (i === length) {
      bytes[at] = length << 1;
      return at + 1 + length;
    }
  }
  const size = Buffer.byteLength(text);
  const from = writeInt(bytes, at, size);
  return from + bytes.write(text, from, "utf8");
}

function writeInt(bytes: Buffer, start: number, value: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  let at = start;
  for (; rest > 0x7f; rest >>>= 7) bytes[at++] = (rest & 0x7f) | 0x80;
  bytes[at++] = rest;
  return at;
}

function writeLong(bytes: Buffer, start: number, value: bigint): number {
  if (value >= -0x40000000n && value < 0x40000000n) return writeInt(bytes, start, Number(value));
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
  let at = start;
  for (; rest > 0x7fn; rest >>= 7n) bytes[at++] = Number(rest & 0x7fn) | 0x80;
  bytes[at++] = Number(rest);
  return at;
}
