import type { RecordLocation } from "./avro/object-file.ts";
import type { StoredRecord } from "./avro/stored-record.ts";
import { type Attribute, NO_SEQUENCE, textAttribute, uniqueIdOf } from "./message.ts";
import { jsonInteger, shownValue } from "./shown-value.ts";
import { cutUtf8 } from "./text.ts";

/** A value of an attribute in JSON form; binary as base64. An integer past 2^53 is its decimal text. */
export type IndexedValue = string | number | boolean | null | { readonly $binary: string };

/**
 * One message's metadata and exact location. Field names are those of the Indexer API; times are milliseconds since 1970 UTC
 * (the API renders them as RFC 3339). Optional fields are absent, never empty.
 */
export interface IndexRecord {
  unique_id: string;
  broker_id: string;
  broker_msg_id: string;
  ordering_key?: string;
  business_source_key?: string;
  business_object_key?: string;
  /** The pipeline that persisted the message. */
  index_source_key?: string;
  partition?: string;
  /** A number where it is a safe integer, else its decimal text. */
  sequence?: number | string;
  /** Name of the store, as in the settings. */
  store: string;
  location_key: string;
  /** Position in the object, from 0. */
  location_position: number;
  /** Where the block that holds the record starts (its count), and its length up to and with its sync marker, in bytes. */
  block_offset: number;
  block_length: number;
  /** Position in that block, from 0. */
  block_position: number;
  codec: string;
  /** `1` for Avro objects of this format, `raw` and others as written. */
  format_version: number;
  payload_size: number;
  content_type?: string;
  /** Hex of the SHA-256 digest; see digest.ts. */
  digest: string;
  publish_time: number;
  ingestion_time: number;
  indexer_ingestion_time: number;
  /** Attributes in their order, repeated names several times. Text values over `MAX_INDEXED_VALUE_BYTES` are cut. */
  attributes: readonly (readonly [name: string, value: IndexedValue])[];
  /** Names of the attributes of which a value was cut. */
  truncated_attributes?: readonly string[];
}

/** Indexed text is cut here (at a character's boundary), so that an attribute of 64 KB costs the index 1 KB. */
export const MAX_INDEXED_VALUE_BYTES = 1024;

/** Where a stored record lies: its object and, for Avro, its block. */
export interface RecordPlace {
  store: string;
  key: string;
  codec: string;
  formatVersion: number;
  location: RecordLocation;
}

const BUSINESS_SOURCE_KEY = "business_source_key";
const BUSINESS_OBJECT_KEY = "business_object_key";

/** The index record of a stored message; `indexer_ingestion_time` stays 0 until the indexer sets it. */
export function indexRecordOf(stored: StoredRecord, place: RecordPlace): IndexRecord {
  const { message } = stored;
  const { attributes, cut } = indexedAttributes(message.attributes);
  return {
    unique_id: uniqueIdOf(message),
    broker_id: message.brokerId,
    broker_msg_id: message.brokerMessageId,
    ordering_key: message.orderingKey || undefined,
    business_source_key: textAttribute(message.attributes, BUSINESS_SOURCE_KEY) || undefined,
    business_object_key: textAttribute(message.attributes, BUSINESS_OBJECT_KEY) || undefined,
    index_source_key: stored.pipeline || undefined,
    partition: message.partition || undefined,
    sequence: message.sequence === NO_SEQUENCE ? undefined : jsonInteger(message.sequence),
    store: place.store,
    location_key: place.key,
    location_position: place.location.position,
    block_offset: place.location.blockOffset,
    block_length: place.location.blockLength,
    block_position: place.location.blockPosition,
    codec: place.codec,
    format_version: place.formatVersion,
    payload_size: message.payload.length,
    content_type: message.contentType || undefined,
    digest: stored.digest.toString("hex"),
    publish_time: Math.floor(message.publishTimeUs / 1000),
    ingestion_time: Math.floor(stored.ingestionTimeUs / 1000),
    indexer_ingestion_time: 0,
    attributes,
    truncated_attributes: cut,
  };
}

type IndexedAttributes = { attributes: [string, IndexedValue][]; cut: string[] | undefined };

function indexedAttributes(attributes: readonly Attribute[]): IndexedAttributes {
  let cut: string[] | undefined;
  const indexed = attributes.map((attribute): [string, IndexedValue] => {
    const value = indexedValueOf(attribute);
    if (typeof value !== "string") return [attribute.name, value];
    const kept = cutUtf8(value, MAX_INDEXED_VALUE_BYTES);
    if (kept.length < value.length) {
      cut ??= [];
      if (!cut.includes(attribute.name)) cut.push(attribute.name);
    }
    return [attribute.name, kept];
  });
  return { attributes: indexed, cut };
}

/** An attribute's value in JSON form: text as it is, numbers, booleans and null as such, AMQP's characters, symbols and UUIDs as text, all else as base64. */
export function indexedValueOf({ kind, value }: Attribute): IndexedValue {
  if (typeof value === "string") return value;
  if (kind === "null") return null;
  if (kind === "boolean") return value[0] === 1;
  return (
    shownValue(kind, value) ?? {
      $binary: Buffer.from(value.buffer, value.byteOffset, Math.min(value.length, MAX_INDEXED_VALUE_BYTES)).toString("base64"),
    }
  );
}
