import type { StoredRecord } from "../avro/stored-record.ts";
import { errorText, StoreError } from "../errors.ts";
import { type Attribute, attributeBytes, PAYLOAD_KINDS, type PayloadKind } from "../message.ts";
import type { ObjectStore } from "../ports/object-store.ts";

/** Codec name of index records whose object is one raw payload. */
export const RAW_CODEC = "raw";
/** The key of the object metadata that holds the envelope, and the ending of the sidecar where it does not fit. */
const ENVELOPE_NAME = "persistor";
export const SIDECAR_ENDING = ".persistor.json";

/** An attribute as [name, kind, value]: text as it is, bytes in base64. */
type EnvelopeAttribute = readonly [name: string, kind: string, value: string];

/** All of a stored record but its payload bytes, as JSON beside them. */
interface RawEnvelope {
  v: 1;
  id: string;
  broker_id: string;
  topic: string;
  pipeline: string;
  partition: string;
  sequence: string;
  publish_time: number;
  ingestion_time: number;
  payload_kind: PayloadKind;
  ordering_key: string;
  content_type: string;
  key: string | null;
  digest: string;
  attributes: EnvelopeAttribute[];
  system: EnvelopeAttribute[];
}

/**
 * Writes one message as one object: its payload bytes as they are, all else as object metadata, or as a JSON sidecar where it does not fit.
 * Returns the record as stored: of an object that existed, with the ingestion time that it has. Throws StoreError.
 */
export async function putRawObject(store: ObjectStore, key: string, record: StoredRecord): Promise<StoredRecord> {
  const envelope = JSON.stringify(envelopeOf(record)).replace(/[\u007f-\uffff]/g, escapeUnit);
  const contentType = record.message.contentType || "application/octet-stream";
  const fits = envelope.length + ENVELOPE_NAME.length <= store.limits.metadataBytes;
  if (!fits) {
    // Before the payload: where the payload is, the sidecar is.
    await store.put(key + SIDECAR_ENDING, [Buffer.from(envelope)], { contentType: "application/json" });
  }
  await store.put(key, [record.message.payload], { contentType, metadata: fits ? { [ENVELOPE_NAME]: envelope } : undefined });
  return getRawObject(store, key);
}

/** Reads what `putRawObject` wrote. Throws StoreError `object_missing`, `object_corrupt` or `store_unavailable`. */
export async function getRawObject(store: ObjectStore, key: string): Promise<StoredRecord> {
  const { bytes, metadata } = await store.get(key);
  const text = metadata[ENVELOPE_NAME] ?? (await store.get(key + SIDECAR_ENDING)).bytes.toString("utf8");
  try {
    return recordOf(JSON.parse(text) as RawEnvelope, bytes);
  } catch (cause) {
    throw new StoreError("object_corrupt", `reading the metadata of object ${key}: ${errorText(cause)}; restore the object from a copy`, {
      cause,
    });
  }
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function envelopeOf({ message, digest, ingestionTimeUs, pipeline }: StoredRecord): RawEnvelope {
  return {
    v: 1,
    id: message.brokerMessageId,
    broker_id: message.brokerId,
    topic: message.topic,
    pipeline,
    partition: message.partition,
    sequence: message.sequence.toString(),
    publish_time: message.publishTimeUs,
    ingestion_time: ingestionTimeUs,
    payload_kind: message.payloadKind,
    ordering_key: message.orderingKey,
    content_type: message.contentType,
    key: message.key === null ? null : Buffer.from(message.key).toString("base64"),
    digest: digest.toString("hex"),
    attributes: message.attributes.map(packAttribute),
    system: message.system.map(packAttribute),
  };
}

function recordOf(envelope: RawEnvelope, payload: Buffer): StoredRecord {
  if (envelope.v !== 1) throw new Error(`its version is ${String(envelope.v)}, this program reads 1`);
  if (!PAYLOAD_KINDS.includes(envelope.payload_kind)) throw new Error(`its payload kind ${String(envelope.payload_kind)} is unknown`);
  return {
    message: {
      brokerId: envelope.broker_id,
      brokerMessageId: envelope.id,
      topic: envelope.topic,
      partition: envelope.partition,
      sequence: BigInt(envelope.sequence),
      publishTimeUs: envelope.publish_time,
      payloadKind: envelope.payload_kind,
      payload,
      attributes: envelope.attributes.map(unpackAttribute),
      system: envelope.system.map(unpackAttribute),
      key: envelope.key === null ? null : Buffer.from(envelope.key, "base64"),
      orderingKey: envelope.ordering_key,
      contentType: envelope.content_type,
    },
    digest: Buffer.from(envelope.digest, "hex"),
    ingestionTimeUs: envelope.ingestion_time,
    pipeline: envelope.pipeline,
  };
}

function packAttribute(attribute: Attribute): EnvelopeAttribute {
  const { name, kind, value } = attribute;
  return [name, kind, typeof value === "string" ? value : Buffer.from(attributeBytes(attribute)).toString("base64")];
}

function unpackAttribute([name, kind, value]: EnvelopeAttribute): Attribute {
  return { name, kind, value: kind === "string" ? value : Buffer.from(value, "base64") };
}
