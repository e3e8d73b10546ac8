/*
 * Avro's primitive types, written at `at` of a buffer; each function returns where the next one goes. The buffer must have the room:
 * callers reserve an upper bound first, for a check at every byte would cost more than the writing.
 */

/** Longest encoding of a long or a length, in bytes. */
export const MAX_VARINT_BYTES = 10;

const INT_LIMIT = 0x40000000;
const EXACT_LIMIT = 2 ** 52;
const LOW_BITS = 2 ** 28;
const MIN_LONG = -(2n ** 63n);
const MAX_LONG = 2n ** 63n - 1n;
/** Text this short has a length of one byte, and is quicker written by hand than through a native call. */
const SHORT_TEXT_UNITS = 24;

/** Writes a safe integer. */
export function writeLong(buffer: Uint8Array, at: number, value: number): number {
  if (value >= -INT_LIMIT && value < INT_LIMIT) return writeUnsigned(buffer, at, (value << 1) ^ (value >> 31));
  if (value <= -EXACT_LIMIT || value >= EXACT_LIMIT) return writeBigLong(buffer, at, BigInt(value));
  const zigzag = value >= 0 ? value * 2 : -value * 2 - 1;
  const low = zigzag % LOW_BITS;
  buffer[at] = (low & 0x7f) | 0x80;
  buffer[at + 1] = ((low >>> 7) & 0x7f) | 0x80;
  buffer[at + 2] = ((low >>> 14) & 0x7f) | 0x80;
  buffer[at + 3] = (low >>> 21) | 0x80;
  return writeUnsigned(buffer, at + 4, (zigzag - low) / LOW_BITS);
}

/** Writes an integer of any size; one that 64 bits do not hold becomes the nearest that they do. */
export function writeBigLong(buffer: Uint8Array, at: number, value: bigint): number {
  const number = Number(value);
  if (number > -EXACT_LIMIT && number < EXACT_LIMIT) return writeLong(buffer, at, number);
  const long = value < MIN_LONG ? MIN_LONG : value > MAX_LONG ? MAX_LONG : value;
  let rest = BigInt.asUintN(64, (long << 1n) ^ (long >> 63n));
  let next = at;
  while (rest > 0x7fn) {
    buffer[next++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  buffer[next] = Number(rest);
  return next + 1;
}

/** Writes a number of microseconds: fractions are cut off, what is no number counts as 0, what 64 bits do not hold as the nearest they do. */
export function writeTime(buffer: Uint8Array, at: number, timeUs: number): number {
  if (Number.isSafeInteger(timeUs)) return writeLong(buffer, at, timeUs);
  if (Number.isFinite(timeUs)) return writeBigLong(buffer, at, BigInt(Math.trunc(timeUs)));
  return writeBigLong(buffer, at, timeUs > 0 ? MAX_LONG : timeUs < 0 ? MIN_LONG : 0n);
}

export function writeBytes(buffer: Uint8Array, at: number, bytes: Uint8Array): number {
  const start = writeLong(buffer, at, bytes.length);
  buffer.set(bytes, start);
  return start + bytes.length;
}

/** Writes text as UTF-8 behind its length in bytes; reserve `textBound(text)`. */
export function writeText(buffer: Buffer, at: number, text: string): number {
  const units = text.length;
  if (units < SHORT_TEXT_UNITS) {
    let i = 0;
    for (; i < units; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 0x7f) break;
      buffer[at + 1 + i] = unit;
    }
    if (i === units) {
      buffer[at] = units << 1;
      return at + 1 + units;
    }
  }
  const guess = at + lengthSize(units);
  const bytes = buffer.write(text, guess, "utf8");
  const start = at + lengthSize(bytes);
  if (start !== guess) buffer.copyWithin(start, guess, guess + bytes);
  writeLong(buffer, at, bytes);
  return start + bytes;
}

/** An upper bound of what `writeText` needs: a UTF-16 unit takes at most three bytes of UTF-8. */
export function textBound(text: string): number {
  return 3 * text.length + MAX_VARINT_BYTES;
}

function writeUnsigned(buffer: Uint8Array, at: number, value: number): number {
  let rest = value;
  let next = at;
  while (rest > 0x7f) {
    buffer[next++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  buffer[next] = rest;
  return next + 1;
}

/** Bytes that the encoded `length` takes. */
function lengthSize(length: number): number {
  if (length < 0x40) return 1;
  if (length < 0x2000) return 2;
  if (length < 0x100000) return 3;
  return length < 0x8000000 ? 4 : 5;
}
