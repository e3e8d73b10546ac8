import type { Database } from "./database.ts";
import type { SubscriptionSummary, TopicSummary } from "./protocol.ts";
import { allTopics, type SubscriptionRow, subscriptionsOf } from "./topics.ts";

/** All topics by name, with how much they and their subscriptions hold. */
export function summarize(db: Database): TopicSummary[] {
  return allTopics(db).map(({ id, name }) => ({
    name,
    messages: countBehind(db, id, 0),
    subscriptions: subscriptionsOf(db, id).map((subscription) => summaryOf(db, subscription)),
  }));
}

function countBehind(db: Database, topic: number, sequence: number): number {
  const sql = "SELECT count(*) AS count FROM messages INDEXED BY messages_of_topic WHERE topic = ? AND sequence > ?";
  return (db.statement(sql).get(topic, sequence) as { count: number }).count;
}

interface OutstandingSums {
  outstanding: number;
  leased: number;
  first: number | null;
}

function summaryOf(db: Database, { id, name, topic, cursor }: SubscriptionRow): SubscriptionSummary {
  const nowMs = Date.now();
  const sql = `SELECT ifnull(sum(count), 0) AS outstanding, ifnull(sum(iif(leased = 1 AND until_ms > ?, count, 0)), 0) AS leased, min(first) AS first
    FROM outstanding WHERE subscription = ?`;
  const { outstanding, leased, first } = db.statement(sql).get(nowMs, id) as unknown as OutstandingSums;
  const oldestSql = "SELECT time_ms FROM messages INDEXED BY messages_of_topic WHERE topic = ? AND sequence >= ? ORDER BY sequence LIMIT 1";
  const oldest = db.statement(oldestSql).get(topic, first ?? cursor + 1) as { time_ms: number } | undefined;
  const summary: SubscriptionSummary = { name, backlog: outstanding + countBehind(db, topic, cursor), leased };
  if (oldest) summary.oldest_unacked_age_ms = Math.max(0, nowMs - oldest.time_ms);
  return summary;
}
