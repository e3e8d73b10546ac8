import type { Database } from "./database.ts";
import type { DeliveryFrame } from "./frames.ts";
import type { ReceiveRequest } from "./protocol.ts";
import { insertRange, type Range } from "./ranges.ts";
import type { SubscriptionRow } from "./topics.ts";

/** Bounds of one call to the worker, so that its memory stays bounded; the caller comes again for more. */
const PART_MESSAGES = 10_000;
const PART_BYTES = 16 * 1024 * 1024;

/** What one receive hands over, while it is being put together. */
export interface Gathering {
  readonly subscription: SubscriptionRow;
  readonly nowMs: number;
  readonly leaseUntilMs: number;
  readonly deliveries: DeliveryFrame[];
  bytes: number;
  readonly maxMessages: number;
  readonly maxBytes: number;
  readonly atLeastOne: boolean;
  /** True once a message did not fit, or no further one would. */
  full: boolean;
  deadLetters: number;
}

export function startGathering(subscription: SubscriptionRow, { maxMessages, maxBytes, atLeastOne }: ReceiveRequest): Gathering {
  const nowMs = Date.now();
  return {
    subscription,
    nowMs,
    leaseUntilMs: nowMs + subscription.lease_ms,
    deliveries: [],
    bytes: 0,
    maxMessages: Math.min(maxMessages, PART_MESSAGES),
    maxBytes: Math.min(maxBytes, PART_BYTES),
    atLeastOne,
    full: maxMessages <= 0,
    deadLetters: 0,
  };
}

/** A row of `messages` as the statements here select it. */
export type MessageRow = [sequence: number, timeMs: number, size: number, orderingKey: Uint8Array | null, content: Uint8Array];

/** The topic's messages from `first` to `last`, ascending, read as they are asked for. */
export function messagesBetween(db: Database, topic: number, first: number, last: number): Iterable<MessageRow> {
  const statement = db.statement(`SELECT sequence, time_ms, size, ordering_key, content FROM messages INDEXED BY messages_of_topic
    WHERE topic = ? AND sequence BETWEEN ? AND ? ORDER BY sequence`);
  statement.setReturnArrays(true);
  return statement.iterate(topic, first, last) as unknown as Iterable<MessageRow>;
}

/** Adds a message, unless it does not fit any more: then nothing more may be added. The very first one fits always. */
export function offer(gathering: Gathering, [sequence, timeMs, size, orderingKey, content]: MessageRow, attempt: number): boolean {
  const fits = (gathering.atLeastOne && gathering.deliveries.length === 0) || gathering.bytes + size <= gathering.maxBytes;
  if (gathering.full || !fits) {
    gathering.full = true;
    return false;
  }
  gathering.deliveries.push({ sequence, timeMs, attempt, orderingKey, content });
  gathering.bytes += size;
  gathering.full = gathering.deliveries.length >= gathering.maxMessages || gathering.bytes >= gathering.maxBytes;
  return true;
}

/** Notes a run of messages as handed over for the first time, or as seen and blocked. */
export function noteRun(
  db: Database,
  gathering: Gathering,
  run: Pick<Range, "first" | "last" | "count" | "ordering_key">,
  isHandedOver: boolean,
): void {
  const state = isHandedOver ? { attempt: 1, leased: 1, until_ms: gathering.leaseUntilMs } : { attempt: 0, leased: 0, until_ms: 0 };
  insertRange(db, gathering.subscription.id, { ...run, ...state, spared: 0 });
}

export function moveCursor(db: Database, subscription: SubscriptionRow, to: number): void {
  if (to > subscription.cursor) db.statement("UPDATE subscriptions SET cursor = ? WHERE id = ?").run(to, subscription.id);
}
