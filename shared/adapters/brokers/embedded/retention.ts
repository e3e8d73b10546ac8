import type { Database } from "./database.ts";
import { insertRange, type Range, replaceRange, sequencesBetween } from "./ranges.ts";
import { allTopics, type SubscriptionRow, subscriptionsOf, type TopicRow } from "./topics.ts";

/** Messages deleted by one call at most, so that no call blocks the worker for long. */
const MESSAGES_AT_ONCE = 20_000;

interface Span {
  first: number;
  last: number;
}

/** Deletes what need not be kept any more, up to a bound per topic; returns whether there is more. */
export function sweep(db: Database, retentionMs: number): boolean {
  let hasMore = false;
  for (const topic of allTopics(db)) {
    const dropped = db.atomically("volatile", () => dropSettled(db, topic));
    const expired = db.atomically("volatile", () => dropExpired(db, topic, Date.now() - retentionMs));
    hasMore ||= dropped >= MESSAGES_AT_ONCE || expired >= MESSAGES_AT_ONCE;
  }
  return hasMore;
}

/** Of a topic that keeps nothing settled, deletes what every subscription has settled; returns how many. Without a subscription all is kept. */
export function dropSettled(db: Database, topic: TopicRow): number {
  if (topic.retained) return 0;
  const subscriptions = subscriptionsOf(db, topic.id);
  if (subscriptions.length === 0) return 0;
  return countOf(dropUnneeded(db, topic.id, Number.MAX_SAFE_INTEGER, subscriptions));
}

/** Deletes messages published before `cutoffMs`, but for what durable subscriptions have not settled; returns how many. */
function dropExpired(db: Database, topic: TopicRow, cutoffMs: number): number {
  const last = lastPublishedBefore(db, topic.id, cutoffMs);
  if (last === undefined) return 0;
  const subscriptions = subscriptionsOf(db, topic.id);
  const isDurable = ({ durable }: SubscriptionRow) => durable === 1;
  const dropped = dropUnneeded(db, topic.id, last, subscriptions.filter(isDurable));
  for (const subscription of subscriptions) {
    if (!isDurable(subscription)) for (const span of dropped) forget(db, subscription, span);
  }
  return countOf(dropped);
}

interface DroppedSpan extends Span {
  count: number;
}

function countOf(spans: readonly DroppedSpan[]): number {
  return spans.reduce((sum, { count }) => sum + count, 0);
}

/** Deletes the topic's messages up to `limit` that none of these subscriptions has outstanding or before it. */
function dropUnneeded(db: Database, topic: number, limit: number, subscriptions: readonly SubscriptionRow[]): DroppedSpan[] {
  const dropped: DroppedSpan[] = [];
  let left = MESSAGES_AT_ONCE;
  const last = Math.min(limit, ...subscriptions.map(({ cursor }) => cursor));
  let next = edgeOf(db, topic, "ASC")?.sequence ?? last + 1;
  const dropTo = (end: number) => {
    if (next > end || left <= 0) return;
    const span = boundedSpan(db, topic, next, end, left);
    const { changes } = db.statement("DELETE FROM messages WHERE topic = ? AND sequence BETWEEN ? AND ?").run(topic, span.first, span.last);
    left -= Number(changes);
    if (changes > 0) dropped.push({ ...span, count: Number(changes) });
  };
  for (const needed of outstandingSpans(db, subscriptions, next, last)) {
    dropTo(Math.min(last, needed.first - 1));
    next = Math.max(next, needed.last + 1);
  }
  dropTo(last);
  return dropped;
}

/** The start of a span, so short that it holds at most `count` messages. */
function boundedSpan(db: Database, topic: number, first: number, last: number, count: number): Span {
  if (last - first < count) return { first, last };
  const sql = `SELECT max(sequence) AS last FROM (SELECT sequence FROM messages INDEXED BY messages_of_topic
    WHERE topic = ? AND sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?)`;
  const found = db.statement(sql).get(topic, first, last, count) as { last: number | null };
  return { first, last: found.last ?? last };
}

function outstandingSpans(db: Database, subscriptions: readonly SubscriptionRow[], from: number, to: number): Span[] {
  const sql = "SELECT first, last FROM outstanding WHERE subscription = ? AND first <= ? AND last >= ?";
  const spans = subscriptions.flatMap(({ id }) => db.statement(sql).all(id, to, from) as unknown as Span[]);
  return spans.sort((a, b) => a.first - b.first);
}

interface Edge {
  sequence: number;
  time_ms: number;
}

function edgeOf(db: Database, topic: number, direction: "ASC" | "DESC", from = 0): Edge | undefined {
  const sql = `SELECT sequence, time_ms FROM messages INDEXED BY messages_of_topic WHERE topic = ? AND sequence >= ? ORDER BY sequence ${direction} LIMIT 1`;
  return db.statement(sql).get(topic, from) as unknown as Edge | undefined;
}

/** Halves its way through the topic, since times never fall from one message of it to the next. */
function lastPublishedBefore(db: Database, topic: number, cutoffMs: number): number | undefined {
  const oldest = edgeOf(db, topic, "ASC");
  const newest = edgeOf(db, topic, "DESC");
  if (!oldest || !newest || oldest.time_ms >= cutoffMs) return undefined;
  if (newest.time_ms < cutoffMs) return newest.sequence;
  let before = oldest.sequence;
  let after = newest.sequence;
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    const probe = edgeOf(db, topic, "ASC", middle) as Edge;
    if (probe.time_ms >= cutoffMs) after = middle;
    else before = probe.sequence;
  }
  return before;
}

/** Takes deleted messages out of what a subscription has outstanding. */
function forget(db: Database, subscription: SubscriptionRow, span: Span): void {
  const sql = "SELECT * FROM outstanding WHERE subscription = ? AND first <= ? AND last >= ?";
  const touched = db.statement(sql).all(subscription.id, span.last, span.first) as unknown as Range[];
  for (const range of touched) {
    replaceRange(db, subscription.id, range, []);
    const sides = [
      { ...range, last: Math.min(range.last, span.first - 1) },
      { ...range, first: Math.max(range.first, span.last + 1) },
    ];
    for (const side of sides) {
      const count = side.first > side.last ? 0 : sequencesBetween(db, subscription.topic, side.first, side.last).length;
      if (count > 0) insertRange(db, subscription.id, { ...side, count });
    }
  }
}
