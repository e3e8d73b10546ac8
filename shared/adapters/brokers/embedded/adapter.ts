import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { BrokerError } from "../../../core/errors.ts";
import type { Delivery } from "../../../core/ports/source.ts";
import type { AdapterContext, Broker } from "../../registry.ts";
import { parseSettings } from "../../support/parse-settings.ts";
import { type SqliteWorker, startSqliteWorker } from "../../support/sqlite-worker.ts";
import { type Client, createClient } from "./client.ts";
import { brokerErrorOf, checkName } from "./errors.ts";
import type { OpenedSubscription, SubscriptionOptions, TopicSummary, WorkerData } from "./protocol.ts";
import { createPublisher } from "./publisher.ts";
import { receiveDeliveries } from "./receiving.ts";
import { type EmbeddedBrokerSettings, embeddedBrokerSettings } from "./settings.ts";
import { openSource, settleHands } from "./source.ts";
import { createWakeUps } from "./wake-ups.ts";
import { joinedWrites } from "./writes.ts";

export type { SubscriptionOptions, SubscriptionSummary, TopicSummary } from "./protocol.ts";

/** The broker that runs in this process on one SQLite file: a `Broker`, and what the local host's REST verbs need. All methods throw BrokerError. */
export interface EmbeddedBroker extends Broker {
  /** Creates a topic or changes it. `retained: false` drops a message once every subscription has settled it; `true` keeps it for the retention time. */
  createTopic(name: string, options: { retained: boolean }): Promise<void>;
  /** Creates a subscription, and its topic, or updates it: options not given stay. A new one starts with what the topic still keeps. */
  createSubscription(topic: string, name: string, options: SubscriptionOptions): Promise<void>;
  /** Ends the leases of all durable subscriptions. Only for a process that knows itself the sole reader: what another one holds would come twice. */
  endLeases(): Promise<void>;
  /** All topics by name. */
  topics(): Promise<TopicSummary[]>;
  /** Takes up to `maxMessages` (at most 1,000), waiting up to a second for a first one. Creates a missing subscription: ordered, not durable. */
  pull(topic: string, subscription: string, maxMessages: number): Promise<Delivery[]>;
  /** Settles deliveries; returns how many were still ours. Throws `topic_missing` where the subscription does not exist. */
  acknowledge(topic: string, subscription: string, ackIds: readonly string[]): Promise<number>;
  /** Ends the leases `seconds` from now, 0 releases at once; returns how many were still ours. Throws `topic_missing` where the subscription does not exist. */
  modifyAckDeadline(topic: string, subscription: string, ackIds: readonly string[], seconds: number): Promise<number>;
  /** Deletes what need not be kept any more; runs by itself every second. */
  sweep(): Promise<void>;
}

const FILE = "broker.db";
const SWEEP_EVERY_MS = 1000;
const MAX_PULLED_MESSAGES = 1000;
const MAX_PULLED_BYTES = 16 * 1024 * 1024;
const PULL_WAIT_MS = 1000;
const WORKER_HEAP_MB = 128;

/** Opens the broker on `<dataDir>/broker.db`, made where there is none. Throws BrokerError, or PersistorError `settings_invalid`. */
export async function open(settings: EmbeddedBrokerSettings, context: AdapterContext): Promise<EmbeddedBroker> {
  const worker = await startWorker(
    context,
    parseSettings(embeddedBrokerSettings, settings, "opening the embedded broker").retentionHours * 3_600_000,
  );
  const closing = new AbortController();
  const wakeUps = createWakeUps();
  const writes = joinedWrites(worker);
  const client = createClient(worker, writes, wakeUps, closing.signal);
  const publisher = createPublisher(client);
  const stopSweeping = sweepRegularly(client);
  return {
    publisher,
    async openSource(source) {
      checkName("topic", source.topic);
      checkName("subscription", source.subscription);
      return openSource(client, source);
    },
    ...administration(client),
    ...restVerbs(client),
    async close() {
      if (closing.signal.aborted) return;
      stopSweeping();
      closing.abort();
      wakeUps.notifyAll();
      await writes.drained();
      await worker.close();
    },
  };
}

async function startWorker({ dataDir }: AdapterContext, retentionMs: number): Promise<SqliteWorker> {
  const data: WorkerData = { file: join(dataDir, FILE), retentionMs };
  try {
    await mkdir(dataDir, { recursive: true });
    const from = import.meta.url;
    return await startSqliteWorker({ from, script: "./worker", data, unavailable: "broker_unavailable", maxOldSpaceMb: WORKER_HEAP_MB });
  } catch (error) {
    throw brokerErrorOf(error, `opening the embedded broker in ${dataDir}`);
  }
}

/** A sweep that fails is made up for by the next. */
function sweepRegularly(client: Client): () => void {
  let isSweeping = false;
  const timer = setInterval(() => {
    if (isSweeping) return;
    isSweeping = true;
    client
      .call("sweep")
      .catch(() => undefined)
      .finally(() => {
        isSweeping = false;
      });
  }, SWEEP_EVERY_MS).unref();
  return () => clearInterval(timer);
}

type Administration = Pick<EmbeddedBroker, "createTopic" | "createSubscription" | "endLeases" | "topics" | "sweep">;

function administration(client: Client): Administration {
  const sweep = async () => {
    while (await client.call<boolean>("sweep"));
  };
  return {
    sweep,
    async createTopic(name, { retained }) {
      checkName("topic", name);
      await client.call("createTopic", { name, retained });
    },
    async createSubscription(topic, name, options) {
      checkName("topic", topic);
      checkName("subscription", name);
      if (typeof options.deadLetterTopic === "string") checkName("topic", options.deadLetterTopic);
      await client.call("ensureSubscription", { topic, name, options, onlyCreate: false, retained: true });
    },
    endLeases: () => client.call("endLeases"),
    async topics() {
      await sweep();
      return client.call<TopicSummary[]>("topics");
    },
  };
}

type RestVerbs = Pick<EmbeddedBroker, "pull" | "acknowledge" | "modifyAckDeadline">;

function restVerbs(client: Client): RestVerbs {
  const find = async (topic: string, name: string): Promise<{ topic: string; subscription: number }> => {
    const subscription = await client.call<number | undefined>("findSubscription", { topic, name });
    if (subscription !== undefined) return { topic, subscription };
    throw new BrokerError("topic_missing", `settling deliveries: there is no subscription ${topic}/${name}; pull from it first`);
  };
  return {
    async pull(topic, name, maxMessages) {
      checkName("topic", topic);
      checkName("subscription", name);
      const options: SubscriptionOptions = { durable: false, ordered: true };
      const request = { topic, name, options, onlyCreate: true, retained: true };
      const { id, leaseMs } = await client.call<OpenedSubscription>("ensureSubscription", request);
      const limits = { maxMessages: Math.min(maxMessages, MAX_PULLED_MESSAGES), maxBytes: MAX_PULLED_BYTES, maxWaitMs: PULL_WAIT_MS };
      return receiveDeliveries(client, { ...limits, enough: 1, leaseMs, origin: { brokerId: topic, topic, subscription: id } });
    },
    acknowledge: async (topic, name, ackIds) => settleHands(client, await find(topic, name), "acknowledge", ackIds, 0),
    async modifyAckDeadline(topic, name, ackIds, seconds) {
      return settleHands(client, await find(topic, name), seconds > 0 ? "extend" : "release", ackIds, seconds * 1000);
    },
  };
}
