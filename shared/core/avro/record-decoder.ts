import { digestOf } from "../digest.ts";
import { type Attribute, PAYLOAD_KINDS, type PayloadKind } from "../message.ts";
import {
  type Cursor,
  type RememberedText,
  readBigLong,
  readBoolean,
  readBytes,
  readItems,
  readLong,
  readRepeatingText,
  readRunCount,
  readText,
  readTime,
  rememberedText,
  skipBytes,
} from "./binary-reader.ts";
import { corrupt } from "./corrupt.ts";
import { DIGEST_BYTES, type StoredRecord } from "./stored-record.ts";

/** An attribute of the exact list with its place among all. */
export interface PlacedAttribute {
  attribute: Attribute;
  /** -1 where it is not known. */
  position: number;
}

/**
 * Reads records by RECORD_SCHEMA, one after the other; `skip` passes over one. Payloads, keys, digests and binary values are slices of
 * the cursor's bytes: who keeps one for long keeps its whole block, so copy what is to be kept.
 * Both throw StoreError `object_corrupt`.
 */
export interface RecordDecoder {
  read(cursor: Cursor): StoredRecord;
  skip(cursor: Cursor): void;
}

/** A decoder that remembers the texts that repeat from record to record; make one per block. */
export function recordDecoder(): RecordDecoder {
  const memory = textMemory();
  return { read: (cursor) => readRecordAt(cursor, memory), skip: skipRecord };
}

/** The attributes in their order: each placed one at its position as far as that is free, the mapped ones in what is left. */
export function mergeAttributes(mapped: Attribute[], placed: readonly PlacedAttribute[]): Attribute[] {
  if (placed.length === 0) return mapped;
  const merged: (Attribute | undefined)[] = new Array(mapped.length + placed.length).fill(undefined);
  const rest = [...mapped];
  for (const { attribute, position } of placed) {
    if (position >= 0 && position < merged.length && merged[position] === undefined) merged[position] = attribute;
    else rest.push(attribute);
  }
  let next = 0;
  return merged.map((attribute) => attribute ?? (rest[next++] as Attribute));
}

/** An attribute from its stored form: text where the kind is `string`. */
export function storedAttribute(name: string, kind: string, value: Buffer): Attribute {
  return { name, kind, value: kind === "string" ? value.toString("utf8") : value };
}

/** Throws StoreError `object_corrupt` where `kind` is none that is known. */
export function payloadKindOf(kind: string): PayloadKind {
  if ((PAYLOAD_KINDS as readonly string[]).includes(kind)) return kind as PayloadKind;
  throw corrupt(`unknown payload kind ${JSON.stringify(kind.slice(0, 40))}`);
}

interface TextMemory {
  names: RememberedText[];
  brokerId: RememberedText;
  topic: RememberedText;
  pipeline: RememberedText;
  partition: RememberedText;
  orderingKey: RememberedText;
  contentType: RememberedText;
  payloadKind: RememberedText;
}

/** Attributes past this position are read without memory. */
const REMEMBERED_NAMES = 32;

function textMemory(): TextMemory {
  return {
    names: Array.from({ length: REMEMBERED_NAMES }, rememberedText),
    brokerId: rememberedText(),
    topic: rememberedText(),
    pipeline: rememberedText(),
    partition: rememberedText(),
    orderingKey: rememberedText(),
    contentType: rememberedText(),
    payloadKind: rememberedText(),
  };
}

function readRecordAt(cursor: Cursor, memory: TextMemory): StoredRecord {
  const brokerMessageId = readText(cursor);
  const payload = readBytes(cursor);
  const mapped = readMap(cursor, memory.names);
  const brokerId = readRepeatingText(cursor, memory.brokerId);
  const topic = readRepeatingText(cursor, memory.topic);
  const pipeline = readRepeatingText(cursor, memory.pipeline);
  const partition = readRepeatingText(cursor, memory.partition);
  const sequence = readBigLong(cursor);
  const publishTimeUs = readTime(cursor);
  const ingestionTimeUs = readTime(cursor);
  const orderingKey = readRepeatingText(cursor, memory.orderingKey);
  const hasKey = readBoolean(cursor);
  const keyBytes = readBytes(cursor);
  const contentType = readRepeatingText(cursor, memory.contentType);
  const payloadKind = payloadKindOf(readRepeatingText(cursor, memory.payloadKind));
  const digest = readBytes(cursor);
  const attributes = mergeAttributes(mapped, readProperties(cursor));
  const system = readProperties(cursor).map(({ attribute }) => attribute);
  const key = hasKey ? keyBytes : null;
  const content = { payloadKind, payload, attributes, system, key, orderingKey, contentType };
  const message = { ...content, brokerId, brokerMessageId, topic, partition, sequence, publishTimeUs };
  return { message, digest: checkedDigest(digest) ?? digestOf(message), ingestionTimeUs, pipeline };
}

/** The stored digest; undefined where none was stored. Throws StoreError `object_corrupt` for one of a wrong length. */
export function checkedDigest(digest: Buffer): Buffer | undefined {
  if (digest.length === DIGEST_BYTES) return digest;
  if (digest.length === 0) return undefined;
  throw corrupt(`a digest has ${digest.length} bytes, not ${DIGEST_BYTES}`);
}

function readMap(cursor: Cursor, names: RememberedText[]): Attribute[] {
  const attributes: Attribute[] = [];
  for (let count = readRunCount(cursor); count > 0; count = readRunCount(cursor)) {
    for (let i = 0; i < count; i++) {
      const last = names[attributes.length];
      const name = last === undefined ? readText(cursor) : readRepeatingText(cursor, last);
      attributes.push({ name, kind: "string", value: readText(cursor) });
    }
  }
  return attributes;
}

const NO_PROPERTIES: readonly PlacedAttribute[] = [];

function readProperties(cursor: Cursor): readonly PlacedAttribute[] {
  let count = readRunCount(cursor);
  if (count === 0) return NO_PROPERTIES;
  const properties: PlacedAttribute[] = [];
  for (; count > 0; count = readRunCount(cursor)) {
    for (let i = 0; i < count; i++) {
      const name = readText(cursor);
      const kind = readText(cursor);
      const attribute = storedAttribute(name, kind, readBytes(cursor));
      properties.push({ attribute, position: readLong(cursor) });
    }
  }
  return properties;
}

function skipRecord(cursor: Cursor): void {
  skipBytes(cursor);
  skipBytes(cursor);
  readItems(cursor, skipMapEntry);
  for (let i = 0; i < 4; i++) skipBytes(cursor);
  for (let i = 0; i < 3; i++) readLong(cursor);
  skipBytes(cursor);
  readBoolean(cursor);
  for (let i = 0; i < 4; i++) skipBytes(cursor);
  readItems(cursor, skipProperty);
  readItems(cursor, skipProperty);
}

function skipMapEntry(cursor: Cursor): void {
  skipBytes(cursor);
  skipBytes(cursor);
}

function skipProperty(cursor: Cursor): void {
  for (let i = 0; i < 3; i++) skipBytes(cursor);
  readLong(cursor);
}
