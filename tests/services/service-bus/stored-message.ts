import { int, long, NULL, numberOf, sectionHead, symbol, textOf, timestamp, uint } from "./amqp-bytes.ts";
import { annotationOf, HEADER, MESSAGE_ANNOTATIONS, type SentMessage } from "./message.ts";

/** `gone`: completed, expired, cancelled or moved. */
export type MessageState = "active" | "locked" | "deferred" | "scheduled" | "gone";

/** A message that lies in a queue, a subscription or a dead-letter queue. */
export interface StoredMessage extends SentMessage {
  sequence: number;
  enqueuedAtMs: number;
  /** Infinity: never. */
  expiresAtMs: number;
  state: MessageState;
  /** Deliveries that came to nothing so far; the header's delivery-count. */
  deliveryCount: number;
  /** While it is locked: the tag of its delivery. */
  tag?: Buffer;
  lockedUntilMs?: number;
  deadLetterReason?: string;
}

const SEQUENCE_NUMBER = symbol("x-opt-sequence-number");
const ENQUEUED_TIME = symbol("x-opt-enqueued-time");
const LOCKED_UNTIL = symbol("x-opt-locked-until");
const MESSAGE_STATE = symbol("x-opt-message-state");
/** Annotations that are the broker's to set. */
const BROKERS = new Set(
  ["sequence-number", "enqueued-time", "locked-until", "message-state", "enqueue-sequence-number", "offset"].map((name) => `x-opt-${name}`),
);
const STATES: Partial<Record<MessageState, number>> = { deferred: 1, scheduled: 2 };

/** The annotations without those that only a broker may set. */
export function sendersAnnotations(annotations: readonly Buffer[]): readonly Buffer[] {
  if (annotations.length === 0) return annotations;
  return annotations.filter((_, i) => !BROKERS.has(textOf(annotations[i - (i % 2)]) ?? ""));
}

/** When a message is to become active that was sent to be so later. */
export function scheduledAtMs({ annotations }: SentMessage): number | undefined {
  return numberOf(annotationOf(annotations, "x-opt-scheduled-enqueue-time"));
}

/** The message as a receiver gets it, or as it is peeked: the broker's header and annotations before the bare message. */
export function encodeStored(message: StoredMessage): Buffer {
  const { sequence, enqueuedAtMs, lockedUntilMs, state } = message;
  const annotations = [...message.annotations, SEQUENCE_NUMBER, long(sequence), ENQUEUED_TIME, timestamp(enqueuedAtMs)];
  if (lockedUntilMs !== undefined) annotations.push(LOCKED_UNTIL, timestamp(lockedUntilMs));
  const number = STATES[state];
  if (number !== undefined) annotations.push(MESSAGE_STATE, int(number));
  return assemble(message, message.deliveryCount, annotations);
}

/** A message with a header that tells `deliveryCount`, and with exactly these annotations. */
export function assemble({ header, bare }: SentMessage, deliveryCount: number, annotations: readonly Buffer[]): Buffer {
  const [durable = NULL, priority = NULL, ttl = NULL, firstAcquirer = NULL] = header;
  const fields = [durable, priority, ttl, firstAcquirer, uint(deliveryCount)];
  const parts = [sectionHead(HEADER, "list", fields), ...fields, sectionHead(MESSAGE_ANNOTATIONS, "map", annotations), ...annotations];
  for (const section of bare) parts.push(section.bytes);
  return Buffer.concat(parts);
}
