import avsc, { type Type } from "avsc";
import { digestOf } from "../digest.ts";
import { type Attribute, type Message, NO_SEQUENCE } from "../message.ts";
import { cursorAt } from "./binary-reader.ts";
import { corrupt } from "./corrupt.ts";
import { type AvroRecord, type AvroValue, readValue } from "./foreign-value.ts";
import { checkedDigest, mergeAttributes, type PlacedAttribute, payloadKindOf, storedAttribute } from "./record-decoder.ts";
import type { StoredRecord } from "./stored-record.ts";

/** What an object of another format does not tell about its records. */
export interface RecordDefaults {
  brokerId: string;
  pipeline: string;
  topic: string;
}

/** Decodes a decompressed block of `count` records. Throws StoreError `object_corrupt`. */
export type BlockDecoder = (data: Buffer, count: number) => StoredRecord[];

/**
 * A decoder for the blocks of an object that other code wrote: the Go original's three fields (`ID`, `Data`, `Metadata`) and, as far as
 * they are there, ours. Fields are taken by name, in any order, through unions; what is missing has our schema's default, times 0.
 * Throws StoreError `object_corrupt` where records of `schemaJson` cannot be messages.
 */
export function foreignDecoder(schemaJson: string, defaults: RecordDefaults): BlockDecoder {
  const schema = messageSchema(schemaJson);
  return (data, count) => {
    if (count > data.length) throw corrupt(`a block of ${data.length} bytes counts ${count} records`);
    const cursor = cursorAt(data);
    const records: StoredRecord[] = [];
    for (let i = 0; i < count; i++) records.push(toStoredRecord(readValue(cursor, schema) as AvroRecord, defaults));
    if (cursor.at !== data.length) throw corrupt(`a block has ${data.length - cursor.at} bytes behind its last record`);
    return records;
  };
}

function messageSchema(json: string): Type {
  const schema = parsedSchema(json);
  const names = schema instanceof avsc.types.RecordType ? schema.fields.map(({ name }) => name) : [];
  if (names.includes("ID") && names.includes("Data")) return schema;
  throw corrupt("the object's records have no fields ID and Data, so they are no messages");
}

function parsedSchema(json: string): Type {
  try {
    return avsc.Type.forSchema(JSON.parse(json));
  } catch (cause) {
    throw corrupt("the header's schema is not valid", cause);
  }
}

function toStoredRecord(row: AvroRecord, defaults: RecordDefaults): StoredRecord {
  const payload = row.get("Data") ?? null;
  const key = bytesOf(row.get("key"));
  const message: Message = {
    payloadKind: payloadKindOf(textOf(row.get("payload_kind")) || (payload === null ? "null" : "bytes")),
    payload: bytesOf(payload),
    attributes: mergeAttributes(mappedAttributes(row.get("Metadata")), placedAttributes(row.get("properties"))),
    system: placedAttributes(row.get("system")).map(({ attribute }) => attribute),
    key: row.get("has_key") === true ? key : null,
    orderingKey: textOf(row.get("ordering_key")),
    contentType: textOf(row.get("content_type")),
    brokerId: textOf(row.get("broker_id")) || defaults.brokerId,
    brokerMessageId: textOf(row.get("ID")),
    topic: textOf(row.get("topic")) || defaults.topic,
    partition: textOf(row.get("partition")),
    sequence: longOf(row.get("sequence"), NO_SEQUENCE),
    publishTimeUs: Number(longOf(row.get("publish_time"), 0n)),
  };
  return {
    message,
    digest: checkedDigest(bytesOf(row.get("digest"))) ?? digestOf(message),
    ingestionTimeUs: Number(longOf(row.get("ingestion_time"), 0n)),
    pipeline: textOf(row.get("pipeline")) || defaults.pipeline,
  };
}

function mappedAttributes(metadata: AvroValue | undefined): Attribute[] {
  if (!hasEntries(metadata)) return [];
  return metadata.entries.map(([name, value]) =>
    Buffer.isBuffer(value) ? { name, kind: "binary", value } : { name, kind: "string", value: textOf(value) },
  );
}

function placedAttributes(properties: AvroValue | undefined): PlacedAttribute[] {
  if (!Array.isArray(properties)) return [];
  return properties
    .filter((property) => property instanceof Map)
    .map((property) => ({
      attribute: storedAttribute(textOf(property.get("name")), textOf(property.get("kind")) || "string", bytesOf(property.get("value"))),
      position: Number(longOf(property.get("position"), -1n)),
    }));
}

function hasEntries(value: AvroValue | undefined): value is { entries: readonly (readonly [string, AvroValue])[] } {
  return typeof value === "object" && value !== null && "entries" in value && Array.isArray(value.entries);
}

function textOf(value: AvroValue | undefined): string {
  if (value === undefined || value === null) return "";
  return Buffer.isBuffer(value) ? value.toString("utf8") : String(value);
}

function bytesOf(value: AvroValue | undefined): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(textOf(value));
}

function longOf(value: AvroValue | undefined, missing: bigint): bigint {
  if (typeof value === "bigint") return value;
  return typeof value === "number" && Number.isFinite(value) ? BigInt(Math.trunc(value)) : missing;
}
