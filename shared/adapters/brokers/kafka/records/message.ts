import { type Attribute, longAttribute, type Message } from "../../../../core/message.ts";
import { COMPRESSION_BITS, LOG_APPEND_TIME, type RecordBatch } from "./batch.ts";
import { decompressRecords } from "./compression.ts";
import { createHeaderReader } from "./headers.ts";
import { RecordReader } from "./reading.ts";

/** What tells whose messages these are. */
export interface Origin {
  /** Becomes `brokerId`. */
  id: string;
  topic: string;
  partition: number;
}

/** System property that keeps a timestamp which microseconds in a number cannot hold: a `long` of milliseconds. */
export const TIMESTAMP_PROPERTY = "kafka:timestamp-ms";
const NO_BYTES = new Uint8Array(0);
const NO_PROPERTIES: readonly Attribute[] = [];
/** What a number holds exactly in microseconds. */
const EXACT_MS = Math.floor(Number.MAX_SAFE_INTEGER / 1000);
/** What 64 bits hold in microseconds. */
const MOST_US = 9_223_372_036_854_774_000;

/**
 * Reads the messages of batches, in the order of their offsets, each behind `from` alone. Timestamps are those of the batch where the broker
 * sets them. Payloads and binary attributes are views into the batch. Throws BadBatch, and what a codec throws.
 */
export function createMessageReader(origin: Origin): (batch: RecordBatch, from: number) => Generator<Message> {
  const readHeaders = createHeaderReader();
  const partition = String(origin.partition);
  return function* (batch, from) {
    const reader = new RecordReader(decompressRecords(batch.attributes & COMPRESSION_BITS, batch.records));
    const isAppendTime = (batch.attributes & LOG_APPEND_TIME) !== 0;
    const base = isAppendTime ? batch.maxTimestamp : batch.baseTimestamp;
    const baseMs = base >= -EXACT_MS && base <= EXACT_MS ? Number(base) : undefined;
    for (let i = 0; i < batch.recordCount; i++) {
      reader.begin();
      const delta = reader.long();
      const offset = batch.baseOffset + reader.int();
      const key = reader.bytes();
      const payload = reader.bytes();
      const attributes = readHeaders(reader);
      reader.end();
      if (offset < from) continue;
      const exact = baseMs === undefined || typeof delta === "bigint" || Math.abs(baseMs + delta) > EXACT_MS;
      const timestamp = exact ? BigInt.asIntN(64, base + (isAppendTime ? 0n : BigInt(delta))) : 0n;
      yield {
        brokerId: origin.id,
        brokerMessageId: `${partition}-${offset}`,
        topic: origin.topic,
        partition,
        sequence: BigInt(offset),
        publishTimeUs: exact ? microsOf(timestamp) : ((baseMs as number) + (isAppendTime ? 0 : (delta as number))) * 1000,
        payloadKind: payload === null ? "null" : "bytes",
        payload: payload ?? NO_BYTES,
        attributes,
        system: exact && isOdd(timestamp) ? [longAttribute(TIMESTAMP_PROPERTY, timestamp)] : NO_PROPERTIES,
        key,
        orderingKey: "",
        contentType: "",
      };
    }
  };
}

function isOdd(ms: bigint): boolean {
  return ms > EXACT_MS || ms < -EXACT_MS;
}

function microsOf(ms: bigint): number {
  return Math.max(-MOST_US, Math.min(MOST_US, Number(ms) * 1000));
}
