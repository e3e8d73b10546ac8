import { isUtf8 } from "node:buffer";
import { type Attribute, binaryAttribute, nullAttribute, stringAttribute } from "../../../../core/message.ts";
import { utf8Text } from "../../../support/utf8-text.ts";
import { BadBatch } from "./batch.ts";
import type { RecordReader } from "./reading.ts";

/** Kind of an attribute that stands for a header whose name is no UTF-8. Its value holds the name's bytes behind their length, then the header's value. */
export const RAW_NAME_KIND = "kafka:raw-name";
const LENGTH_BYTES = 4;
const HAS_VALUE = 1;
const REPLACED = /\uFFFD/;

/**
 * Makes attributes of a record's headers: text where the value is UTF-8, else binary or null. Names mostly are those of the record before,
 * in the same order, so each is compared with that one's bytes first.
 */
export function createHeaderReader(): (reader: RecordReader) => Attribute[] {
  const lastNames: { bytes: Buffer; text: string }[] = [];
  const nameAt = (position: number, bytes: Buffer): string | undefined => {
    const last = lastNames[position];
    if (last && sameBytes(last.bytes, bytes)) return last.text;
    if (!isUtf8(bytes)) return undefined;
    const name = { bytes: Buffer.from(bytes), text: bytes.toString("utf8") };
    if (position < MAX_NAMES_KEPT) lastNames[position] = name;
    return name.text;
  };
  return (reader) => {
    const count = reader.int();
    if (count < 0) throw new BadBatch("a record has a negative number of headers");
    if (count === 0) return NONE;
    if (count > reader.left) throw new BadBatch("a record has more headers than bytes");
    // Of its very length: one that grows takes room for sixteen.
    const attributes = new Array<Attribute>(count);
    for (let i = 0; i < count; i++) {
      const bytes = reader.bytes();
      if (bytes === null) throw new BadBatch("a header has no name");
      const value = reader.bytes();
      const name = nameAt(i, bytes);
      attributes[i] = name === undefined ? rawNameAttribute(bytes, value) : attributeOf(name, value);
    }
    return attributes;
  };
}

const NONE: Attribute[] = [];
const MAX_NAMES_KEPT = 64;

function sameBytes(a: Buffer, b: Buffer): boolean {
  const { length } = a;
  if (length !== b.length) return false;
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function attributeOf(name: string, value: Buffer | null): Attribute {
  if (value === null) return nullAttribute(name);
  const text = utf8Text(value);
  return text === undefined ? binaryAttribute(name, value) : stringAttribute(name, text);
}

function rawNameAttribute(name: Buffer, value: Buffer | null): Attribute {
  const bytes = Buffer.alloc(LENGTH_BYTES + name.length + 1 + (value?.length ?? 0));
  bytes.writeUInt32BE(name.length, 0);
  name.copy(bytes, LENGTH_BYTES);
  bytes[LENGTH_BYTES + name.length] = value === null ? 0 : HAS_VALUE;
  value?.copy(bytes, LENGTH_BYTES + name.length + 1);
  return { name: name.toString("utf8"), kind: RAW_NAME_KIND, value: bytes };
}

/** A header as it is written into a record. */
export interface RawHeader {
  name: string | Uint8Array;
  value: string | Uint8Array | null;
}

/** Why no header can be read again as this very attribute; undefined where one can. */
export function headerFault(attribute: Attribute): string | undefined {
  const { name, kind, value } = attribute;
  if (kind === RAW_NAME_KIND) return rawHeaderOf(attribute) ? undefined : `Kafka has no attribute like ${shown(name)}, of kind ${kind}`;
  if (!name.isWellFormed()) return `Kafka takes no half surrogate pair, as in the name of attribute ${shown(name)}`;
  if (typeof value === "string") {
    return value.isWellFormed() ? undefined : `Kafka takes no half surrogate pair, as in the attribute ${shown(name)}`;
  }
  if (kind === "null") return undefined;
  if (kind !== "binary") return `Kafka has no attribute of kind ${kind}, as ${shown(name)}`;
  return isUtf8(value) ? `Kafka cannot tell binary that is text from text, as in the attribute ${shown(name)}` : undefined;
}

/** The headers that attributes stand for, once `headerFault` had nothing to say of them. */
export function headersOf(attributes: readonly Attribute[]): readonly RawHeader[] {
  // Nearly always the attributes themselves: each has a name and a value.
  return attributes.some(({ kind }) => kind === "null" || kind === RAW_NAME_KIND) ? attributes.map(headerOf) : attributes;
}

function headerOf(attribute: Attribute): RawHeader {
  if (attribute.kind === RAW_NAME_KIND) return rawHeaderOf(attribute) as RawHeader;
  return attribute.kind === "null" ? { name: attribute.name, value: null } : attribute;
}

function rawHeaderOf({ name, value }: Attribute): RawHeader | undefined {
  if (typeof value === "string" || value.length <= LENGTH_BYTES) return undefined;
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  const nameEnd = LENGTH_BYTES + bytes.readUInt32BE(0);
  if (nameEnd >= bytes.length) return undefined;
  const raw = bytes.subarray(LENGTH_BYTES, nameEnd);
  const hasValue = bytes[nameEnd] === HAS_VALUE;
  const isOurs = !isUtf8(raw) && REPLACED.test(name) && raw.toString("utf8") === name && (hasValue || bytes.length === nameEnd + 1);
  return isOurs ? { name: raw, value: hasValue ? bytes.subarray(nameEnd + 1) : null } : undefined;
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 80));
}
