/*
 * AMQP 1.0 values as the bytes they are sent as: taken apart and put together without decoding what need not be known, so that every other
 * byte stays as its sender wrote it (https://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-types-v1.0-os.html).
 */

/** Bytes that are no AMQP value. */
export class DecodeError extends Error {
  readonly condition = "amqp:decode-error";
}

export const NULL = Buffer.of(0x40);

const DESCRIBED = 0x00;
const SMALL_ULONG = 0x53;
const ULONG = 0x80;
/** Widths of values, by the upper half of their constructors: fixed, or of the size that leads them. */
const FIXED_WIDTHS: Readonly<Record<number, number>> = { 4: 0, 5: 1, 6: 2, 7: 4, 8: 8, 9: 16 };
const SIZE_WIDTHS: Readonly<Record<number, number>> = { 10: 1, 11: 4, 12: 1, 13: 4, 14: 1, 15: 4 };
const LIST0 = 0x45;
const COMPOUND_KINDS: Readonly<Record<number, "list" | "map">> = { 192: "list", 208: "list", 193: "map", 209: "map" };

/** Where the value that begins at `at` ends. */
export function endOf(bytes: Buffer, at: number): number {
  if (at >= bytes.length) throw new DecodeError("reading an AMQP value: the bytes end before it");
  const code = bytes[at] as number;
  if (code === DESCRIBED) return endOf(bytes, endOf(bytes, at + 1));
  const end = at + 1 + widthOf(bytes, at, code);
  if (end > bytes.length) throw new DecodeError("reading an AMQP value: the bytes end within it");
  return end;
}

function widthOf(bytes: Buffer, at: number, code: number): number {
  const fixed = FIXED_WIDTHS[code >> 4];
  if (fixed !== undefined) return fixed;
  const width = SIZE_WIDTHS[code >> 4];
  if (width === undefined || at + 1 + width > bytes.length) throw new DecodeError("reading an AMQP value: no such constructor");
  return width + bytes.readUIntBE(at + 1, width);
}

/** A described value: its numeric descriptor, and where the value itself lies. */
export interface Described {
  descriptor: number;
  valueAt: number;
  end: number;
}

/** Reads where a described value lies that begins at `at`. Throws DecodeError unless its descriptor is a number. */
export function describedAt(bytes: Buffer, at: number): Described {
  const code = bytes[at + 1];
  if (bytes[at] !== DESCRIBED || (code !== SMALL_ULONG && code !== ULONG)) {
    throw new DecodeError("reading an AMQP message: a section without a numeric descriptor");
  }
  const valueAt = endOf(bytes, at + 1);
  const descriptor = code === SMALL_ULONG ? bytes.readUInt8(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
  return { descriptor, valueAt, end: endOf(bytes, valueAt) };
}

/** The items of the list or the map at `at`, each as its bytes; a map's are keys and values in turn. */
export function itemsAt(bytes: Buffer, at: number): Buffer[] {
  const code = bytes[at] as number;
  if (code === LIST0) return [];
  if (COMPOUND_KINDS[code] === undefined) throw new DecodeError("reading an AMQP value: neither a list nor a map");
  const width = SIZE_WIDTHS[code >> 4] as number;
  const count = bytes.readUIntBE(at + 1 + width, width);
  const items: Buffer[] = [];
  for (let i = 0, from = at + 1 + 2 * width; i < count; i++) {
    const end = endOf(bytes, from);
    items.push(bytes.subarray(from, end));
    from = end;
  }
  return items;
}

/** What a binary, a string or a symbol holds. */
export function contentOf(value: Buffer): Buffer {
  const width = SIZE_WIDTHS[(value[0] as number) >> 4];
  if (width === undefined) throw new DecodeError("reading an AMQP value: neither a binary nor a text");
  return value.subarray(1 + width);
}

/** The text of a string or a symbol; undefined for any other value. */
export function textOf(value: Buffer | undefined): string | undefined {
  const code = value?.[0];
  return value && (code === 0xa1 || code === 0xb1 || code === 0xa3 || code === 0xb3) ? contentOf(value).toString("utf8") : undefined;
}

/** The number that an unsigned, a long or a timestamp holds; undefined for any other value. */
export function numberOf(value: Buffer | undefined): number | undefined {
  switch (value?.[0]) {
    case 0x43:
    case 0x44:
      return 0;
    case 0x52:
    case 0x53:
      return value.readUInt8(1);
    case 0x55:
      return value.readInt8(1);
    case 0x70:
      return value.readUInt32BE(1);
    case 0x80:
      return Number(value.readBigUInt64BE(1));
    case 0x81:
    case 0x83:
      return Number(value.readBigInt64BE(1));
    default:
      return undefined;
  }
}

export const isNull = (value: Buffer | undefined): boolean => value === undefined || value[0] === NULL[0];

export const symbol = (text: string): Buffer => variable(0xa3, Buffer.from(text, "ascii"));
export const string = (text: string): Buffer => variable(0xa1, Buffer.from(text, "utf8"));

/** `code` is that of the short form; the long one's is 16 more. */
function variable(code: number, content: Buffer): Buffer {
  const head = content.length > 255 ? Buffer.alloc(5) : Buffer.of(code, content.length);
  if (content.length > 255) head.writeUInt32BE(content.length, head.writeUInt8(code + 0x10, 0));
  return Buffer.concat([head, content]);
}

export function uint(value: number): Buffer {
  if (value <= 255) return Buffer.of(0x52, value);
  const bytes = Buffer.allocUnsafe(5);
  bytes.writeUInt32BE(value, bytes.writeUInt8(0x70, 0));
  return bytes;
}

export const int = (value: number): Buffer => eightOrFour(0x71, value);
export const long = (value: number): Buffer => eightOrFour(0x81, value);
export const timestamp = (ms: number): Buffer => eightOrFour(0x83, ms);

function eightOrFour(code: number, value: number): Buffer {
  const isLong = code >= 0x80;
  const bytes = Buffer.allocUnsafe(isLong ? 9 : 5);
  const at = bytes.writeUInt8(code, 0);
  if (!isLong) bytes.writeInt32BE(value, at);
  else {
    bytes.writeInt32BE(Math.floor(value / 2 ** 32), at);
    bytes.writeUInt32BE(value - Math.floor(value / 2 ** 32) * 2 ** 32, at + 4);
  }
  return bytes;
}

/** What leads the items of a section whose value is a list or a map; `items` follow it on the wire. */
export function sectionHead(descriptor: number, kind: "list" | "map", items: readonly Buffer[]): Buffer {
  let size = 4;
  for (const item of items) size += item.length;
  const head = Buffer.allocUnsafe(12);
  head[0] = DESCRIBED;
  head[1] = SMALL_ULONG;
  head[2] = descriptor;
  head[3] = kind === "list" ? 0xd0 : 0xd1;
  head.writeUInt32BE(size, 4);
  head.writeUInt32BE(items.length, 8);
  return head;
}

/** A section whose value is a list or a map of `items`. */
export const section = (descriptor: number, kind: "list" | "map", items: readonly Buffer[]): Buffer =>
  Buffer.concat([sectionHead(descriptor, kind, items), ...items]);
