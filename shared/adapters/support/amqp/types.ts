import { type Attribute, binaryAttribute, booleanAttribute, nullAttribute, stringAttribute } from "../../../core/message.ts";
import { utf8Text } from "../utf8-text.ts";

/*
 * AMQP 1.0 types as attributes, exactly: text, binary, null, boolean, long, double and timestamp are the kinds that every broker has; the others
 * are `amqp:<type>`, their value in the width that AMQP gives them, big-endian. What none of them is (lists, maps, arrays, described values,
 * text that is no UTF-8) is `amqp:encoded`: its bytes on the wire.
 * http://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-types-v1.0-os.html
 */

/** Kind of an attribute that holds the encoding of an AMQP value. */
export const ENCODED_KIND = "amqp:encoded";
/** Kind of an attribute that holds the encodings of a map's key, which is no text, and of its value. */
export const PAIR_KIND = "amqp:pair";

/** AMQP bytes that are none: they end too early, or have a code that AMQP has not. */
export class BadAmqp extends Error {}

const DESCRIBED = 0x00;
const DEEPEST = 32;
/** Widths of what has a fixed one, by the code's upper half. */
const FIXED_WIDTHS: Readonly<Record<number, number>> = { 4: 0, 5: 1, 6: 2, 7: 4, 8: 8, 9: 16 };
const KNOWN_CODES: ReadonlySet<number> = new Set([
  ...[0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x60, 0x61, 0x70, 0x71, 0x72, 0x73, 0x74],
  ...[0x80, 0x81, 0x82, 0x83, 0x84, 0x94, 0x98, 0xa0, 0xa1, 0xa3, 0xb0, 0xb1, 0xb3, 0xc0, 0xc1, 0xd0, 0xd1, 0xe0, 0xf0],
]);

/** Where the value that begins at `at` ends. Throws BadAmqp. */
export function endOfValue(bytes: Buffer, at: number, depth = 0): number {
  const code = byteAt(bytes, at);
  if (code === DESCRIBED) {
    if (depth >= DEEPEST) throw new BadAmqp("an AMQP value is nested too deep");
    return endOfValue(bytes, endOfValue(bytes, at + 1, depth + 1), depth + 1);
  }
  if (!KNOWN_CODES.has(code)) throw new BadAmqp(`an AMQP value has the unknown code 0x${code.toString(16)}`);
  const start = at + 1;
  const end = start + (FIXED_WIDTHS[code >> 4] ?? sizedLength(bytes, code, start));
  if (end > bytes.length) throw new BadAmqp("an AMQP value is longer than its message");
  return end;
}

/** Length of a value that tells its own, its length field included. */
function sizedLength(bytes: Buffer, code: number, at: number): number {
  return (code >> 4) % 2 === 0 ? 1 + byteAt(bytes, at) : 4 + uint32At(bytes, at);
}

function byteAt(bytes: Buffer, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new BadAmqp("an AMQP value ends too early");
  return byte;
}

function uint32At(bytes: Buffer, at: number): number {
  if (at + 4 > bytes.length) throw new BadAmqp("an AMQP value ends too early");
  return bytes.readUInt32BE(at);
}

/** A list's or map's elements: where the first begins, and how many there are. */
export interface Elements {
  at: number;
  count: number;
  end: number;
}

const LIST_0 = 0x45;
const LIST_8 = 0xc0;
const LIST_32 = 0xd0;
const MAP_8 = 0xc1;
const MAP_32 = 0xd1;

/** The elements of the list at `at`; of the map, where `isMap`. Throws BadAmqp where it is none. */
export function elementsOf(bytes: Buffer, at: number, isMap: boolean): Elements {
  const code = byteAt(bytes, at);
  const end = endOfValue(bytes, at);
  if (!isMap && code === LIST_0) return { at: end, count: 0, end };
  const isSmall = code === (isMap ? MAP_8 : LIST_8);
  if (!isSmall && code !== (isMap ? MAP_32 : LIST_32)) throw new BadAmqp(`an AMQP ${isMap ? "map" : "list"} is of another type`);
  const first = at + 1 + (isSmall ? 2 : 8);
  if (first > end) throw new BadAmqp("an AMQP value ends too early");
  return { at: first, count: isSmall ? byteAt(bytes, at + 2) : uint32At(bytes, at + 5), end };
}

const BINARY_8 = 0xa0;
const BINARY_32 = 0xb0;
const STRING_8 = 0xa1;
const STRING_32 = 0xb1;
const SYMBOL_8 = 0xa3;
const SYMBOL_32 = 0xb3;

/** Text of a value that is text in UTF-8, or a symbol; undefined for any other. Throws BadAmqp. */
export function textAt(bytes: Buffer, at: number): string | undefined {
  const code = byteAt(bytes, at);
  const isText = code === STRING_8 || code === STRING_32 || code === SYMBOL_8 || code === SYMBOL_32;
  return isText ? utf8Text(contentAt(bytes, at, endOfValue(bytes, at))) : undefined;
}

/** What lies behind the code and the length of a value that ends at `end`. */
function contentAt(bytes: Buffer, at: number, end: number): Buffer {
  return bytes.subarray(at + (((bytes[at] as number) >> 4) % 2 === 0 ? 2 : 5), end);
}

/** Bytes of a value that is binary. Throws BadAmqp where it is none. */
export function binaryAt(bytes: Buffer, at: number): Buffer {
  const code = byteAt(bytes, at);
  if (code !== BINARY_8 && code !== BINARY_32) throw new BadAmqp("an AMQP value is not binary, as it must be there");
  return contentAt(bytes, at, endOfValue(bytes, at));
}

/** Number of a value that is a whole number of any width; undefined for any other. */
export function wholeNumberAt(bytes: Buffer, at: number): bigint | undefined {
  const code = byteAt(bytes, at);
  const type = WHOLE_NUMBERS[code];
  if (!type) return undefined;
  endOfValue(bytes, at);
  return type(bytes, at + 1);
}

const WHOLE_NUMBERS: Readonly<Record<number, (bytes: Buffer, at: number) => bigint>> = {
  80: (bytes, at) => BigInt(bytes.readUInt8(at)),
  96: (bytes, at) => BigInt(bytes.readUInt16BE(at)),
  112: (bytes, at) => BigInt(bytes.readUInt32BE(at)),
  82: (bytes, at) => BigInt(bytes.readUInt8(at)),
  67: () => 0n,
  128: (bytes, at) => bytes.readBigUInt64BE(at),
  83: (bytes, at) => BigInt(bytes.readUInt8(at)),
  68: () => 0n,
  81: (bytes, at) => BigInt(bytes.readInt8(at)),
  97: (bytes, at) => BigInt(bytes.readInt16BE(at)),
  113: (bytes, at) => BigInt(bytes.readInt32BE(at)),
  84: (bytes, at) => BigInt(bytes.readInt8(at)),
  129: (bytes, at) => bytes.readBigInt64BE(at),
  85: (bytes, at) => BigInt(bytes.readInt8(at)),
  131: (bytes, at) => bytes.readBigInt64BE(at),
};

/** Kinds of this broker's own whose values have a fixed width: its code on the wire, and the width. */
const FIXED_KINDS = {
  "amqp:ubyte": { code: 0x50, width: 1 },
  "amqp:ushort": { code: 0x60, width: 2 },
  "amqp:uint": { code: 0x70, width: 4 },
  "amqp:ulong": { code: 0x80, width: 8 },
  "amqp:byte": { code: 0x51, width: 1 },
  "amqp:short": { code: 0x61, width: 2 },
  "amqp:int": { code: 0x71, width: 4 },
  "amqp:float": { code: 0x72, width: 4 },
  "amqp:char": { code: 0x73, width: 4 },
  "amqp:decimal32": { code: 0x74, width: 4 },
  "amqp:decimal64": { code: 0x84, width: 8 },
  "amqp:decimal128": { code: 0x94, width: 16 },
  "amqp:uuid": { code: 0x98, width: 16 },
  long: { code: 0x81, width: 8 },
  double: { code: 0x82, width: 8 },
  timestamp: { code: 0x83, width: 8 },
} as const;
const SYMBOL_KIND = "amqp:symbol";

const KIND_OF_CODE: ReadonlyMap<number, string> = new Map(Object.entries(FIXED_KINDS).map(([kind, { code }]) => [code, kind]));
/** Shorter forms of a kind: the kind, and how many bytes follow the code. */
const SHORT_FORMS: Readonly<Record<number, { kind: keyof typeof FIXED_KINDS; isSigned: boolean }>> = {
  67: { kind: "amqp:uint", isSigned: false },
  82: { kind: "amqp:uint", isSigned: false },
  68: { kind: "amqp:ulong", isSigned: false },
  83: { kind: "amqp:ulong", isSigned: false },
  84: { kind: "amqp:int", isSigned: true },
  85: { kind: "long", isSigned: true },
};

/** The value at `at`, which ends at `end`, as the attribute `name`. Its bytes are views into `bytes`. */
export function attributeAt(name: string, bytes: Buffer, at: number, end: number): Attribute {
  const code = bytes[at] as number;
  switch (code) {
    case STRING_8:
    case STRING_32: {
      const text = utf8Text(contentAt(bytes, at, end));
      if (text !== undefined) return stringAttribute(name, text);
      break;
    }
    case BINARY_8:
    case BINARY_32:
      return binaryAttribute(name, contentAt(bytes, at, end));
    case SYMBOL_8:
    case SYMBOL_32:
      return { name, kind: SYMBOL_KIND, value: contentAt(bytes, at, end) };
    case NULL:
      return nullAttribute(name);
    case TRUE:
    case FALSE:
      return booleanAttribute(name, code === TRUE);
    case BOOLEAN:
      if ((bytes[at + 1] as number) <= 1) return booleanAttribute(name, bytes[at + 1] === 1);
      break;
    default: {
      const kind = KIND_OF_CODE.get(code);
      if (kind !== undefined) return { name, kind, value: bytes.subarray(at + 1, end) };
      const short = SHORT_FORMS[code];
      if (short) return { name, kind: short.kind, value: widened(bytes, at + 1, end, short) };
    }
  }
  return { name, kind: ENCODED_KIND, value: bytes.subarray(at, end) };
}

const NULL = 0x40;
const TRUE = 0x41;
const FALSE = 0x42;
const BOOLEAN = 0x56;

function widened(
  bytes: Buffer,
  from: number,
  to: number,
  { kind, isSigned }: { kind: keyof typeof FIXED_KINDS; isSigned: boolean },
): Buffer {
  const isNegative = isSigned && to > from && (bytes[from] as number) > 0x7f;
  const wide = Buffer.alloc(FIXED_KINDS[kind].width, isNegative ? 0xff : 0);
  bytes.copy(wide, wide.length - (to - from), from, to);
  return wide;
}

/** Why no AMQP value is read again as this very attribute; undefined where one is. */
export function valueFault({ kind, value }: Pick<Attribute, "kind" | "value">): string | undefined {
  if (typeof value === "string") return value.isWellFormed() ? undefined : "half a surrogate pair";
  const fixed = Object.hasOwn(FIXED_KINDS, kind) ? FIXED_KINDS[kind as keyof typeof FIXED_KINDS] : undefined;
  if (fixed) return value.length === fixed.width ? undefined : `kind ${kind} with ${value.length} bytes`;
  if (kind === "null") return value.length === 0 ? undefined : "kind null with bytes";
  if (kind === "boolean") return value.length === 1 && (value[0] as number) <= 1 ? undefined : "kind boolean with other bytes than 0 or 1";
  if (kind === "binary" || kind === SYMBOL_KIND) return undefined;
  if (kind === ENCODED_KIND && isEncoded(value)) return undefined;
  return `kind ${kind}`;
}

/** Whether these bytes are one whole AMQP value, and one that no other kind stands for. */
function isEncoded(value: Uint8Array): boolean {
  const bytes = bufferOf(value);
  try {
    return endOfValue(bytes, 0) === bytes.length && attributeAt("", bytes, 0, bytes.length).kind === ENCODED_KIND;
  } catch {
    return false;
  }
}

/** The same bytes as a Buffer, not copied. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

const CODE_OF_KIND: ReadonlyMap<string, number> = new Map(Object.entries(FIXED_KINDS).map(([kind, { code }]) => [kind, code]));

/** Bytes that `writeValue` takes at most. */
export function valueBound({ kind, value }: Pick<Attribute, "kind" | "value">): number {
  return typeof value === "string" ? 5 + 3 * value.length : kind === ENCODED_KIND || kind === PAIR_KIND ? value.length : 5 + value.length;
}

/** Writes an attribute's value, of which `valueFault` has nothing to say, at `at`; returns where it ends. */
export function writeValue({ kind, value }: Pick<Attribute, "kind" | "value">, out: Buffer, at: number): number {
  if (typeof value === "string") return writeText(value, out, at);
  const code = CODE_OF_KIND.get(kind);
  if (code !== undefined) {
    out[at] = code;
    out.set(value, at + 1);
    return at + 1 + value.length;
  }
  if (kind === "null" || kind === "boolean") {
    out[at] = kind === "null" ? NULL : value[0] === 1 ? TRUE : FALSE;
    return at + 1;
  }
  if (kind === "binary") return writeSized(value, out, at, BINARY_8);
  if (kind === SYMBOL_KIND) return writeSized(value, out, at, SYMBOL_8);
  out.set(value, at);
  return at + value.length;
}

/** Writes text as a string. */
export function writeText(text: string, out: Buffer, at: number): number {
  // Written behind the longer header first, and moved where the shorter one does: a length in bytes is not known before.
  const length = out.write(text, at + 5);
  if (length > 0xff) {
    out[at] = STRING_32;
    out.writeUInt32BE(length, at + 1);
    return at + 5 + length;
  }
  out[at] = STRING_8;
  out[at + 1] = length;
  out.copyWithin(at + 2, at + 5, at + 5 + length);
  return at + 2 + length;
}

/** Writes ASCII text as a symbol. */
export function writeSymbol(text: string, out: Buffer, at: number): number {
  return writeSized(Buffer.from(text, "latin1"), out, at, SYMBOL_8);
}

/** Writes bytes behind a code for up to 255 of them, or the one for more, which is 0x10 above. */
export function writeSized(value: Uint8Array, out: Buffer, at: number, small: number): number {
  const isSmall = value.length <= 0xff;
  out[at] = isSmall ? small : small + 0x10;
  if (isSmall) out[at + 1] = value.length;
  else out.writeUInt32BE(value.length, at + 1);
  const start = at + (isSmall ? 2 : 5);
  out.set(value, start);
  return start + value.length;
}
