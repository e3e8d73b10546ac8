import { corrupt } from "./corrupt.ts";

/** A place in bytes that are being read. Every read is checked against their end. */
export interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

const HIGH_BIT = 0x80;
const EXACT_LIMIT = 2 ** 52;
const MAX_VARINT_BYTES = 10;
/** Text up to this length is quicker compared and built by hand than through a native call. */
const SHORT_TEXT_BYTES = 24;

export function cursorAt(bytes: Buffer, at = 0): Cursor {
  return { bytes, at };
}

/**
 * Reads a long as a number: exact within ±2^52, beyond that only near (see `readBigLong`).
 * Throws StoreError `object_corrupt` where the bytes end or the number has more than 64 bits.
 */
export function readLong(cursor: Cursor): number {
  const { bytes } = cursor;
  const first = byteAt(bytes, cursor.at++);
  if (first < HIGH_BIT) return (first >>> 1) ^ -(first & 1);
  let value = first & 0x7f;
  let scale = HIGH_BIT;
  for (let i = 1; i < MAX_VARINT_BYTES; i++) {
    const byte = byteAt(bytes, cursor.at++);
    if (byte < HIGH_BIT) {
      if (i === MAX_VARINT_BYTES - 1 && byte > 1) break;
      value += byte * scale;
      return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
    value += (byte & 0x7f) * scale;
    scale *= HIGH_BIT;
  }
  throw corrupt("a number has more than 64 bits");
}

/** Reads a long, all 64 bits. Throws as `readLong`. */
export function readBigLong(cursor: Cursor): bigint {
  const start = cursor.at;
  const near = readLong(cursor);
  if (near > -EXACT_LIMIT && near < EXACT_LIMIT) return BigInt(near);
  let zigzag = 0n;
  for (let at = cursor.at - 1; at >= start; at--) zigzag = (zigzag << 7n) | BigInt(byteAt(cursor.bytes, at) & 0x7f);
  return BigInt.asIntN(64, (zigzag >> 1n) ^ -(zigzag & 1n));
}

/** Reads a long as the nearest number. Throws as `readLong`. */
export function readTime(cursor: Cursor): number {
  const start = cursor.at;
  const near = readLong(cursor);
  if (near > -EXACT_LIMIT && near < EXACT_LIMIT) return near;
  cursor.at = start;
  return Number(readBigLong(cursor));
}

export function readBoolean(cursor: Cursor): boolean {
  const byte = byteAt(cursor.bytes, cursor.at++);
  if (byte > 1) throw corrupt("a boolean is neither 0 nor 1");
  return byte === 1;
}

/** Passes over `length` bytes and returns where they start. Throws StoreError `object_corrupt` where they are not all there. */
export function take(cursor: Cursor, length: number): number {
  const start = cursor.at;
  if (!(length >= 0 && length <= cursor.bytes.length - start)) throw corrupt(`a length of ${length} at byte ${start} runs past the end`);
  cursor.at = start + length;
  return start;
}

/** Reads bytes as a slice: it shares memory with what is read. */
export function readBytes(cursor: Cursor): Buffer {
  const start = take(cursor, readLong(cursor));
  return cursor.bytes.subarray(start, cursor.at);
}

export function readText(cursor: Cursor): string {
  const start = take(cursor, readLong(cursor));
  return textOf(cursor.bytes, start, cursor.at);
}

/** Passes over bytes or text. */
export function skipBytes(cursor: Cursor): void {
  take(cursor, readLong(cursor));
}

/** The text that a place of a record held last: names and sources repeat from record to record. */
export interface RememberedText {
  bytes: Uint8Array;
  text: string;
}

const NOTHING = new Uint8Array(0);

export function rememberedText(): RememberedText {
  return { bytes: NOTHING, text: "" };
}

/** Reads text like `readText`, faster where it is the same as last time, and then the same string. */
export function readRepeatingText(cursor: Cursor, last: RememberedText): string {
  const length = readLong(cursor);
  const start = take(cursor, length);
  if (length === 0) return "";
  if (length > 2 * SHORT_TEXT_BYTES) return textOf(cursor.bytes, start, cursor.at);
  if (length === last.bytes.length && sameBytes(cursor.bytes, start, last.bytes)) return last.text;
  last.bytes = Uint8Array.prototype.slice.call(cursor.bytes, start, cursor.at);
  last.text = textOf(cursor.bytes, start, cursor.at);
  return last.text;
}

/**
 * Calls `readItem` for each item of an array or a map, which come in counted runs; a negative count is followed by the run's size.
 * Throws StoreError `object_corrupt` where a run counts more items than there are bytes.
 */
export function readItems(cursor: Cursor, readItem: (cursor: Cursor, index: number) => void): void {
  let index = 0;
  for (let count = readRunCount(cursor); count > 0; count = readRunCount(cursor)) {
    for (let i = 0; i < count; i++) readItem(cursor, index++);
  }
}

/** Reads how many items the next run of an array or a map has; 0 ends it. */
export function readRunCount(cursor: Cursor): number {
  let count = readLong(cursor);
  if (count < 0) {
    count = -count;
    readLong(cursor);
  }
  // Items take a byte or more, but for the null type, which no schema that anyone writes puts into an array.
  if (count > cursor.bytes.length - cursor.at) throw corrupt(`a count of ${count} at byte ${cursor.at} runs past the end`);
  return count;
}

function byteAt(bytes: Buffer, at: number): number {
  if (at >= bytes.length) throw corrupt("a record runs past the end");
  return bytes[at] as number;
}

function sameBytes(bytes: Buffer, start: number, other: Uint8Array): boolean {
  for (let i = 0; i < other.length; i++) if (bytes[start + i] !== other[i]) return false;
  return true;
}

function textOf(bytes: Buffer, start: number, end: number): string {
  return end === start ? "" : bytes.toString("utf8", start, end);
}
