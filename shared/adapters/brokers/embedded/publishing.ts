import { contentSize, stringAttribute } from "../../../core/message.ts";
import type { Database } from "./database.ts";
import { publishFrames } from "./frames.ts";
import { packContent, packedBound, unpackContent } from "./packing.ts";
import type { PublishOp } from "./protocol.ts";
import { ensureTopic, type SubscriptionRow, type TopicRow, topicById } from "./topics.ts";

const INSERT = "INSERT INTO messages (sequence, topic, time_ms, size, ordering_key, content) VALUES (?, ?, ?, ?, ?, ?)";

/** Appends the messages to their topic, created where there is none; returns the first sequence, the others follow it. */
export function publish(db: Database, { topic, count, frames }: PublishOp): number {
  const row = ensureTopic(db, topic, true);
  const timeMs = nextTimeMs(db, row);
  const first = takeSequences(db, count);
  const insert = db.statement(INSERT);
  let sequence = first;
  for (const { size, orderingKey, content } of publishFrames(frames, count)) {
    insert.run(sequence++, row.id, timeMs, size, orderingKey, content);
  }
  return first;
}

/** Never earlier than what the topic holds already, though the machine's clock may be set back. */
function nextTimeMs(db: Database, topic: TopicRow): number {
  const timeMs = Math.max(Date.now(), topic.last_time_ms);
  db.statement("UPDATE topics SET last_time_ms = ? WHERE id = ?").run(timeMs, topic.id);
  return timeMs;
}

/** Takes `count` consecutive sequences, never given again; returns the first. */
function takeSequences(db: Database, count: number): number {
  const sql = "UPDATE broker SET last_sequence = last_sequence + ? RETURNING last_sequence";
  const { last_sequence: last } = db.statement(sql).get(count) as { last_sequence: number };
  return last - count + 1;
}

interface StoredMessage {
  ordering_key: Uint8Array | null;
  content: Uint8Array;
}

/** Copies the subscription's message into its dead-letter topic, with the reason; settling it is the caller's. */
export function copyToDeadLetters(db: Database, subscription: SubscriptionRow, sequence: number, deliveries: number): void {
  const found = db.statement("SELECT ordering_key, content FROM messages WHERE sequence = ?").get(sequence);
  if (!found) return;
  const { ordering_key: key, content: packed } = found as unknown as StoredMessage;
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.length);
  const content = unpackContent(bytes, 0, bytes.length, key ? Buffer.from(key).toString("utf8") : "");
  const reason = `delivered ${deliveries} times through subscription ${subscription.name} and never acknowledged`;
  content.attributes = [
    ...content.attributes,
    stringAttribute("deadLetterErrorCategory", "delivery_attempts_exceeded"),
    stringAttribute("deadLetterErrorReason", reason),
    stringAttribute("deadLetterSource", topicById(db, subscription.topic).name),
  ];
  const target = ensureTopic(db, subscription.dead_letter_topic as string, true);
  const repacked = Buffer.allocUnsafe(packedBound(content));
  const end = packContent(content, repacked, 0);
  db.statement(INSERT).run(takeSequences(db, 1), target.id, nextTimeMs(db, target), contentSize(content), key, repacked.subarray(0, end));
}
