import { type Attribute, type MessageContent, PAYLOAD_KINDS, type PayloadKind } from "../../../core/message.ts";

/*
 * A message's content as one blob: a byte of flags (bits 0-1 payload kind, bit 2 whether there is a key, bits 4-7 the layout's version), the
 * content type, the key, the attributes, the system properties, and the payload as the rest. Lengths and counts are LEB128. The ordering key is not
 * in it: it has a column of its own.
 */
const VERSION = 1;
const HAS_KEY = 4;
const KINDS: readonly string[] = ["string", "binary", "null", "boolean", "long", "double", "timestamp"];
/** Code of a kind that is written out. */
const OTHER_KIND = 255;
const STRING_KIND = 0;
const LENGTH_BYTES = 5;
/** Below this a loop over ASCII beats a call into the runtime. */
const SHORT_TEXT = 48;

/** Upper bound of the packed size in bytes. */
export function packedBound(content: MessageContent): number {
  let bound = 1 + 4 * LENGTH_BYTES + content.payload.length + (content.key?.length ?? 0) + 3 * content.contentType.length;
  bound += attributesBound(content.attributes) + attributesBound(content.system);
  return bound;
}

function attributesBound(attributes: readonly Attribute[]): number {
  let bound = 0;
  for (const { name, kind, value } of attributes) {
    bound += 1 + 3 * LENGTH_BYTES + 3 * (name.length + kind.length) + (typeof value === "string" ? 3 : 1) * value.length;
  }
  return bound;
}

/** Packs `content` into `target` from `at` on; returns where it ends. */
export function packContent(content: MessageContent, target: Buffer, at: number): number {
  target[at++] = (VERSION << 4) | (content.key ? HAS_KEY : 0) | PAYLOAD_KINDS.indexOf(content.payloadKind);
  at = writeText(target, at, content.contentType);
  if (content.key) at = writeBytes(target, at, content.key);
  at = writeAttributes(target, at, content.attributes);
  at = writeAttributes(target, at, content.system);
  target.set(content.payload, at);
  return at + content.payload.length;
}

/** The content packed in `bytes` from `start` to `end`. The payload and binary values are views into `bytes`. */
export function unpackContent(bytes: Buffer, start: number, end: number, orderingKey: string): MessageContent {
  const flags = bytes[start] as number;
  if (flags >> 4 !== VERSION) throw new Error(`reading a message: its layout ${flags >> 4} is unknown; use the version that wrote it`);
  const cursor: Cursor = { bytes, at: start + 1 };
  const contentType = readText(cursor);
  const key = (flags & HAS_KEY) === 0 ? null : readBytes(cursor);
  const attributes = readAttributes(cursor);
  const system = readAttributes(cursor);
  const payload = new Uint8Array(bytes.buffer, bytes.byteOffset + cursor.at, end - cursor.at);
  return { payloadKind: PAYLOAD_KINDS[flags & 3] as PayloadKind, payload, attributes, system, key, orderingKey, contentType };
}

interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

function writeAttributes(target: Buffer, start: number, attributes: readonly Attribute[]): number {
  let at = writeLength(target, start, attributes.length);
  for (const { name, kind, value } of attributes) {
    at = writeText(target, at, name);
    const code = KINDS.indexOf(kind);
    target[at++] = code < 0 ? OTHER_KIND : code;
    if (code < 0) at = writeText(target, at, kind);
    at = typeof value === "string" ? writeText(target, at, value) : writeBytes(target, at, value);
  }
  return at;
}

function readAttributes(cursor: Cursor): Attribute[] {
  const count = readLength(cursor);
  const attributes = new Array<Attribute>(count);
  for (let i = 0; i < count; i++) {
    const name = readText(cursor);
    const code = cursor.bytes[cursor.at++] as number;
    const kind = code === OTHER_KIND ? readText(cursor) : (KINDS[code] as string);
    attributes[i] = { name, kind, value: code === STRING_KIND ? readText(cursor) : readBytes(cursor) };
  }
  return attributes;
}

function writeText(target: Buffer, at: number, text: string): number {
  if (text.length < SHORT_TEXT) {
    const end = writeAscii(target, at + 1, text);
    if (end >= 0) {
      target[at] = text.length;
      return end;
    }
  }
  const length = Buffer.byteLength(text, "utf8");
  const start = writeLength(target, at, length);
  return start + target.write(text, start, "utf8");
}

/** Returns the end, or -1 where `text` is not plain ASCII. */
function writeAscii(target: Buffer, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return -1;
    target[at++] = unit;
  }
  return at;
}

function readText(cursor: Cursor): string {
  const length = readLength(cursor);
  const start = cursor.at;
  cursor.at += length;
  return length === 0 ? "" : cursor.bytes.toString("utf8", start, cursor.at);
}

function writeBytes(target: Buffer, at: number, bytes: Uint8Array): number {
  const start = writeLength(target, at, bytes.length);
  target.set(bytes, start);
  return start + bytes.length;
}

function readBytes(cursor: Cursor): Uint8Array {
  const length = readLength(cursor);
  const value = new Uint8Array(cursor.bytes.buffer, cursor.bytes.byteOffset + cursor.at, length);
  cursor.at += length;
  return value;
}

function writeLength(target: Buffer, at: number, length: number): number {
  while (length > 0x7f) {
    target[at++] = (length & 0x7f) | 0x80;
    length >>>= 7;
  }
  target[at++] = length;
  return at;
}

function readLength(cursor: Cursor): number {
  let length = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = cursor.bytes[cursor.at++] as number;
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) return length;
  }
}
