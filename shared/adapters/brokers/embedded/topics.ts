import { BrokerError } from "../../../core/errors.ts";
import type { Database } from "./database.ts";
import type { OpenedSubscription, SubscriptionOptions, SubscriptionRequest } from "./protocol.ts";

const DEFAULT_LEASE_MS = 60_000;

export interface TopicRow {
  id: number;
  name: string;
  /** 1 where settled messages are kept for the retention time. */
  retained: number;
  last_time_ms: number;
}

export interface SubscriptionRow {
  id: number;
  topic: number;
  name: string;
  cursor: number;
  lease_ms: number;
  max_attempts: number | null;
  dead_letter_topic: string | null;
  ordered: number;
  durable: number;
}

/** The topic of this name; created where there is none. */
export function ensureTopic(db: Database, name: string, retained: boolean): TopicRow {
  const find = db.statement("SELECT * FROM topics WHERE name = ?");
  const found = find.get(name);
  if (found) return found as unknown as TopicRow;
  db.statement("INSERT INTO topics (name, retained, last_time_ms) VALUES (?, ?, 0)").run(name, retained ? 1 : 0);
  return find.get(name) as unknown as TopicRow;
}

export function createTopic(db: Database, name: string, retained: boolean): void {
  const { id } = ensureTopic(db, name, retained);
  db.statement("UPDATE topics SET retained = ? WHERE id = ?").run(retained ? 1 : 0, id);
}

export function allTopics(db: Database): TopicRow[] {
  return db.statement("SELECT * FROM topics ORDER BY name").all() as unknown as TopicRow[];
}

export function topicById(db: Database, id: number): TopicRow {
  return db.statement("SELECT * FROM topics WHERE id = ?").get(id) as unknown as TopicRow;
}

export function subscriptionsOf(db: Database, topic: number): SubscriptionRow[] {
  return db.statement("SELECT * FROM subscriptions WHERE topic = ? ORDER BY name").all(topic) as unknown as SubscriptionRow[];
}

export function subscriptionById(db: Database, id: number): SubscriptionRow {
  return db.statement("SELECT * FROM subscriptions WHERE id = ?").get(id) as unknown as SubscriptionRow;
}

/** The subscription of this name, or undefined. */
export function findSubscription(db: Database, topic: string, name: string): SubscriptionRow | undefined {
  const sql = "SELECT s.* FROM subscriptions s JOIN topics t ON t.id = s.topic WHERE t.name = ? AND s.name = ?";
  return db.statement(sql).get(topic, name) as unknown as SubscriptionRow | undefined;
}

/** Creates or updates a subscription; a new one starts with all that the topic still keeps. Options not given stay as they are. */
export function ensureSubscription(db: Database, request: SubscriptionRequest): OpenedSubscription {
  const topic = ensureTopic(db, request.topic, request.retained);
  const found = findSubscription(db, request.topic, request.name);
  const { durable } = request.options;
  const options: SubscriptionOptions = found && request.onlyCreate ? { durable: durable || found.durable === 1 } : request.options;
  const row = merged(found, options);
  checkOptions(request, row);
  const values = [row.lease_ms, row.max_attempts, row.dead_letter_topic, row.ordered, row.durable];
  const insert = `INSERT INTO subscriptions (topic, name, cursor, lease_ms, max_attempts, dead_letter_topic, ordered, durable)
    VALUES (?, ?, 0, ?, ?, ?, ?, ?) ON CONFLICT (topic, name) DO UPDATE SET lease_ms = excluded.lease_ms, max_attempts = excluded.max_attempts,
    dead_letter_topic = excluded.dead_letter_topic, ordered = excluded.ordered, durable = excluded.durable RETURNING id`;
  const { id } = db.statement(insert).get(topic.id, request.name, ...values) as { id: number };
  return { id, leaseMs: row.lease_ms };
}

function checkOptions({ topic, name }: SubscriptionRequest, { lease_ms, max_attempts, dead_letter_topic }: OptionColumns): void {
  const refuse = (fault: string) => {
    throw new BrokerError("refused", `creating subscription ${topic}/${name}: ${fault}`);
  };
  if (!(Number.isSafeInteger(lease_ms) && lease_ms >= 1)) refuse(`leaseMs ${lease_ms} is no time; use at least 1`);
  if ((max_attempts === null) !== (dead_letter_topic === null)) {
    refuse("a limit of deliveries needs a topic and the reverse; set maxDeliveryAttempts and deadLetterTopic both, or neither");
  }
  if (max_attempts !== null && !(Number.isSafeInteger(max_attempts) && max_attempts >= 1)) {
    refuse(`maxDeliveryAttempts ${max_attempts} is no count; use at least 1`);
  }
  if (dead_letter_topic === topic) refuse("its dead letters would come back to it; name another deadLetterTopic");
}

type OptionColumns = Pick<SubscriptionRow, "lease_ms" | "max_attempts" | "dead_letter_topic" | "ordered" | "durable">;

function merged(found: SubscriptionRow | undefined, options: SubscriptionOptions): OptionColumns {
  const { leaseMs, maxDeliveryAttempts, deadLetterTopic, ordered } = options;
  return {
    lease_ms: leaseMs ?? found?.lease_ms ?? DEFAULT_LEASE_MS,
    max_attempts: maxDeliveryAttempts === undefined ? (found?.max_attempts ?? null) : maxDeliveryAttempts,
    dead_letter_topic: deadLetterTopic === undefined ? (found?.dead_letter_topic ?? null) : deadLetterTopic,
    ordered: (ordered ?? found?.ordered === 1) ? 1 : 0,
    durable: options.durable ? 1 : 0,
  };
}
