import { BrokerError, errorText, InvalidInput } from "../errors.ts";
import type { IndexedValue, IndexRecord } from "../index-record.ts";
import { payloadContent } from "../message.ts";
import type { TopicTarget } from "../pipeline.ts";
import type { OutgoingMessage } from "../ports/publisher.ts";

/** What an index message carries: records of one collection. */
export interface IndexMessage {
  collection: string;
  records: IndexRecord[];
}

const MESSAGE_VERSION = 1;
const NO_BYTES = new Uint8Array(0);
/** A message of this many bytes keeps the indexer's batches even, wherever the broker's own limit lies. */
const PREFERRED_BYTES = 512 * 1024;
/** Room for the envelope around the records. */
const ENVELOPE_BYTES = 4096;

/** Publishes index records to the index topic, cut below the broker's limits; durable when it resolves. Throws BrokerError. */
export async function handOver(index: TopicTarget & { collection: string }, records: readonly IndexRecord[]): Promise<void> {
  const { publisher, topic, collection } = index;
  const budget = Math.min(PREFERRED_BYTES, publisher.limits.maxMessageBytes) - ENVELOPE_BYTES;
  const messages = encodeIndexMessages(collection, records, budget);
  for (const call of cutByLimits(messages, publisher.limits)) {
    const outcomes = await publisher.publish(topic, call);
    for (const outcome of outcomes) {
      if (!outcome.ok) throw outcome.error;
    }
    if (outcomes.length !== call.length) {
      throw new BrokerError("broker_unavailable", `publishing index records to ${topic}: ${outcomes.length} of ${call.length} answered`, {
        retryable: true,
      });
    }
  }
}

/** Cuts messages into calls that keep to a publisher's limits, in order. */
export function* cutByLimits(
  messages: readonly OutgoingMessage[],
  limits: { maxMessages: number; maxBytes: number },
): Generator<OutgoingMessage[]> {
  let call: OutgoingMessage[] = [];
  let bytes = 0;
  for (const message of messages) {
    if (call.length > 0 && (call.length >= limits.maxMessages || bytes + message.payload.length > limits.maxBytes)) {
      yield call;
      call = [];
      bytes = 0;
    }
    call.push(message);
    bytes += message.payload.length;
  }
  if (call.length > 0) yield call;
}

/** Index messages of at most `maxBytes` of payload each (a single record is never cut). */
export function encodeIndexMessages(collection: string, records: readonly IndexRecord[], maxBytes: number): OutgoingMessage[] {
  const messages: OutgoingMessage[] = [];
  let parts: string[] = [];
  let length = 0;
  const finish = () => {
    if (parts.length === 0) return;
    const text = `{"v":${MESSAGE_VERSION},"collection":${JSON.stringify(collection)},"records":[${parts.join(",")}]}`;
    messages.push(payloadContent(Buffer.from(text, "utf8")));
    parts = [];
    length = 0;
  };
  for (const record of records) {
    const text = JSON.stringify(record);
    const bytes = Buffer.byteLength(text, "utf8") + 1;
    if (length + bytes > maxBytes) finish();
    parts.push(text);
    length += bytes;
  }
  finish();
  return messages;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Reads an index message: ours, or the original's single record (times as RFC 3339, attributes as a map), which goes to
 * `defaultCollection`. Throws InvalidInput naming the place.
 */
export function decodeIndexMessage(payload: Uint8Array, defaultCollection: string): IndexMessage {
  const value = parseJson(payload);
  if (!isObject(value)) throw fault("", "is not an object");
  if (!("records" in value)) return { collection: defaultCollection, records: [readRecord(value, "")] };
  if (value.v !== MESSAGE_VERSION) throw fault("v", `is ${String(value.v)}; this program reads version ${MESSAGE_VERSION}`);
  if (typeof value.collection !== "string" || value.collection === "") throw fault("collection", "is not a name");
  if (!Array.isArray(value.records)) throw fault("records", "is not a list");
  return { collection: value.collection, records: value.records.map((record, i) => readRecord(record, `records[${i}].`)) };
}

function parseJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(payload.length === 0 ? "" : utf8.decode(payload ?? NO_BYTES));
  } catch (cause) {
    throw new InvalidInput(`reading an index message: ${errorText(cause)}`, [{ path: "", message: "is not JSON in UTF-8" }], { cause });
  }
}

type JsonObject = Record<string, unknown>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fault(path: string, message: string): InvalidInput {
  return new InvalidInput(`reading an index message: ${path || "it"} ${message}`, [{ path, message }]);
}

const REQUIRED_TEXTS = ["unique_id", "broker_id", "broker_msg_id", "location_key"] as const;
const OPTIONAL_TEXTS = [
  "ordering_key",
  "business_source_key",
  "business_object_key",
  "index_source_key",
  "partition",
  "store",
  "codec",
  "content_type",
  "digest",
] as const;
const NUMBERS = ["location_position", "block_offset", "block_length", "block_position", "format_version", "payload_size"] as const;
const TIMES = ["publish_time", "ingestion_time", "indexer_ingestion_time"] as const;

function readRecord(value: unknown, at: string): IndexRecord {
  if (!isObject(value)) throw fault(at, "is not an object");
  const record: JsonObject = {};
  for (const name of REQUIRED_TEXTS) {
    const text = value[name];
    if (typeof text !== "string" || text === "") throw fault(at + name, "is not a text");
    record[name] = text;
  }
  for (const name of OPTIONAL_TEXTS) {
    const text = value[name];
    if (text === undefined || text === "" || text === null) continue;
    if (typeof text !== "string") throw fault(at + name, "is not a text");
    record[name] = text;
  }
  for (const name of NUMBERS) record[name] = readNumber(value[name] ?? 0, at + name);
  for (const name of TIMES) record[name] = readTime(value[name], at + name);
  if (value.sequence !== undefined) record.sequence = readSequence(value.sequence, `${at}sequence`);
  record.store ??= "";
  record.codec ??= "";
  record.digest ??= "";
  record.attributes = readAttributes(value, at);
  if (Array.isArray(value.truncated_attributes))
    record.truncated_attributes = value.truncated_attributes.filter((name) => typeof name === "string");
  return record as unknown as IndexRecord;
}

function readNumber(value: unknown, path: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw fault(path, "is not a number from 0 on");
  return value;
}

function readSequence(value: unknown, path: string): number | string {
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  if (typeof value === "string" && /^-?\d{1,19}$/.test(value)) return value;
  throw fault(path, "is not an integer");
}

function readTime(value: unknown, path: string): number {
  if (value === undefined) return 0;
  if (typeof value === "number" && Number.isFinite(value)) return Math.floor(value);
  const ms = typeof value === "string" ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(ms)) throw fault(path, "is not a time");
  return ms;
}

function readAttributes(value: JsonObject, at: string): [string, IndexedValue][] {
  if (Array.isArray(value.attributes)) {
    return value.attributes.map((pair, i) => {
      if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== "string")
        throw fault(`${at}attributes[${i}]`, "is not a pair of name and value");
      return [pair[0], readValue(pair[1], `${at}attributes[${i}][1]`)];
    });
  }
  const map = value.additional_metadata;
  if (map === undefined || map === null) return [];
  if (!isObject(map)) throw fault(`${at}additional_metadata`, "is not an object");
  return Object.entries(map).map(([name, entry]) => [name, readValue(entry, `${at}additional_metadata.${name}`)]);
}

function readValue(value: unknown, path: string): IndexedValue {
  if (value === null || typeof value === "string" || typeof value === "boolean" || typeof value === "number") return value;
  if (isObject(value) && typeof value.$binary === "string") return { $binary: value.$binary };
  throw fault(path, "is neither text, number, boolean, null nor binary");
}
