import type { Database } from "./database.ts";

/** Messages of one subscription that are taken up but not settled: those of the topic between `first` and `last`, all in the same state. */
export interface Range {
  first: number;
  last: number;
  /** How many messages of the topic lie between. */
  count: number;
  /** Hand-overs so far. */
  attempt: number;
  /** Hand-overs that do not count towards dead-lettering: the message was taken back because of an earlier one of its key. */
  spared: number;
  /** 1 while handed over, 0 while waiting. */
  leased: number;
  /** End of the lease, or not before when it may be handed over. */
  until_ms: number;
  /** In an ordered subscription the messages' key, and then `count` is 1; else null. */
  ordering_key: Uint8Array | null;
}

const COLUMNS = "first, last, count, attempt, spared, leased, until_ms, ordering_key";

export function insertRange(db: Database, subscription: number, range: Range): void {
  const { first, last, count, attempt, spared, leased, until_ms, ordering_key } = range;
  db.statement(`INSERT INTO outstanding (subscription, ${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`).run(
    subscription,
    first,
    last,
    count,
    attempt,
    spared,
    leased,
    until_ms,
    ordering_key,
  );
}

export function deleteRange(db: Database, subscription: number, first: number): void {
  db.statement("DELETE FROM outstanding WHERE subscription = ? AND first = ?").run(subscription, first);
}

/** Replaces a range by others that lie in it. */
export function replaceRange(db: Database, subscription: number, range: Range, by: readonly Range[]): void {
  deleteRange(db, subscription, range.first);
  for (const piece of by) insertRange(db, subscription, piece);
}

/** The range that holds `sequence`, or undefined. */
export function rangeAt(db: Database, subscription: number, sequence: number): Range | undefined {
  const sql = `SELECT ${COLUMNS} FROM outstanding WHERE subscription = ? AND first <= ? ORDER BY first DESC LIMIT 1`;
  const range = db.statement(sql).get(subscription, sequence) as unknown as Range | undefined;
  return range && range.last >= sequence ? range : undefined;
}

/** Ranges that may be handed over again, those released (`leased` 0) or those whose lease has ended (1), the longest due first. */
export function dueRanges(db: Database, subscription: number, leased: 0 | 1, nowMs: number, limit: number): Range[] {
  const sql = `SELECT ${COLUMNS} FROM outstanding WHERE subscription = ? AND leased = ? AND until_ms <= ? ORDER BY until_ms, first LIMIT ?`;
  return db.statement(sql).all(subscription, leased, nowMs, limit) as unknown as Range[];
}

/** All ranges of a subscription, ascending. */
export function allRanges(db: Database, subscription: number): Range[] {
  return db.statement(`SELECT ${COLUMNS} FROM outstanding WHERE subscription = ? ORDER BY first`).all(subscription) as unknown as Range[];
}

/** Milliseconds until the next waiting or leased range is due; undefined where there is none. */
export function nextDueMs(db: Database, subscription: number, nowMs: number): number | undefined {
  let next: number | undefined;
  for (const leased of [0, 1]) {
    // A range that is due but blocked by an earlier one of its key comes when that is settled or due, not by time.
    const sql = "SELECT until_ms FROM outstanding WHERE subscription = ? AND leased = ? AND until_ms > ? ORDER BY until_ms LIMIT 1";
    const found = db.statement(sql).get(subscription, leased, nowMs) as { until_ms: number } | undefined;
    if (found) next = Math.min(next ?? Number.POSITIVE_INFINITY, found.until_ms - nowMs);
  }
  return next;
}

/** The sequences of a topic's messages from `first` to `last`, ascending. */
export function sequencesBetween(db: Database, topic: number, first: number, last: number): number[] {
  const sql = "SELECT sequence FROM messages INDEXED BY messages_of_topic WHERE topic = ? AND sequence BETWEEN ? AND ? ORDER BY sequence";
  return (db.statement(sql).all(topic, first, last) as { sequence: number }[]).map(({ sequence }) => sequence);
}

/** Takes an ordered subscription's hand-overs of this key behind `sequence` back, so that they come again after it. */
export function takeBackLater(db: Database, subscription: number, key: Uint8Array, sequence: number): void {
  const sql = `UPDATE outstanding SET leased = 0, until_ms = 0, spared = spared + 1
    WHERE subscription = ? AND ordering_key = ? AND first > ? AND leased = 1`;
  db.statement(sql).run(subscription, key, sequence);
}

/** Ends every lease of the durable subscriptions: what a killed process held comes again at once. */
export function endLeases(db: Database): void {
  const sql =
    "UPDATE outstanding SET leased = 0, until_ms = 0 WHERE leased = 1 AND subscription IN (SELECT id FROM subscriptions WHERE durable = 1)";
  db.statement(sql).run();
}

/** Ends the leases of an ordered subscription that have run out; what depends on their order is taken back with them. */
export function endLapsedLeases(db: Database, subscription: number, nowMs: number): void {
  const lapsedSql = "SELECT first, ordering_key FROM outstanding WHERE subscription = ? AND leased = 1 AND until_ms <= ? ORDER BY first";
  const lapsed = db.statement(lapsedSql).all(subscription, nowMs) as unknown as Pick<Range, "first" | "ordering_key">[];
  const end = db.statement("UPDATE outstanding SET leased = 0, until_ms = 0 WHERE subscription = ? AND first = ? AND leased = 1");
  for (const { first, ordering_key } of lapsed) {
    const { changes } = end.run(subscription, first);
    if (changes > 0 && ordering_key) takeBackLater(db, subscription, ordering_key, first);
  }
}
