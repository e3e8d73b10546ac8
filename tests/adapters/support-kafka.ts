import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { messageAt } from "../../bench/lib/flights.ts";
import { open } from "../../shared/adapters/brokers/kafka/adapter.ts";
import type { Broker } from "../../shared/adapters/registry.ts";
import { digestOf } from "../../shared/core/digest.ts";
import { type MessageContent, payloadContent } from "../../shared/core/message.ts";
import type { Log, LogFields } from "../../shared/core/ports/log.ts";
import { NO_LOG } from "../../shared/core/ports/log.ts";
import type { Source } from "../../shared/core/ports/source.ts";
import { messageOf } from "../contract/support-messages.ts";
import { type KafkaBroker, startKafkaBroker } from "../services/kafka-broker.ts";
import { freshTopic } from "./support-sources.ts";

export { eventually, freshTopic, numbered, receiveAll, receiveAndMore, receiveThrough, texts } from "./support-sources.ts";

const PUBLISHED_AT_ONCE = 5_000;

/** Opens brokers and sources that are closed together. */
export function kafkaClients(host: () => string) {
  const opened: Broker[] = [];
  const lines: { event: string; fields: LogFields }[] = [];
  const note = (event: string, fields: LogFields = {}) => void lines.push({ event, fields });
  const log: Log = { ...NO_LOG, warn: note, error: note };
  const openBroker = async (settings: Record<string, unknown> = {}): Promise<Broker> => {
    const broker = await open({ brokers: [host()], ...settings }, { dataDir: "", log });
    opened.push(broker);
    return broker;
  };
  return {
    /** What was logged as a warning or an error. */
    lines,
    openBroker,
    /** A source of a broker of its own, in a group of its own unless told. */
    async openSource(topic: string, own: Record<string, unknown> = {}, subscription = `group-${randomUUID()}`): Promise<Source> {
      return (await openBroker()).openSource({ id: topic, topic, subscription, own });
    },
    async close() {
      await Promise.all(opened.splice(0).map((broker) => broker.close()));
      lines.splice(0);
    },
  };
}

/** Publishes flights `from` to `from + count` with keys; returns their digests. */
export async function flightsToKafka(host: string, topic: string, from: number, count: number): Promise<string[]> {
  const broker = await open({ brokers: [host] }, { dataDir: "" });
  const digests: string[] = [];
  for (let at = from; at < from + count; at += PUBLISHED_AT_ONCE) {
    const contents = Array.from({ length: Math.min(PUBLISHED_AT_ONCE, from + count - at) }, (_, i): MessageContent => {
      const { payload, attributes } = messageAt(at + i);
      return { ...payloadContent(payload), attributes, key: Buffer.from(`key ${(at + i) % 1000}`) };
    });
    for (const outcome of await broker.publisher.publish(topic, contents)) if (!outcome.ok) throw outcome.error;
    digests.push(...contents.map((content) => digestOf(content).toString("hex")));
  }
  await broker.close();
  return digests;
}

/** Destroys this process's own connections to a port, as a network does. */
function cutSocketsTo(port: number): void {
  const handles = (process as unknown as { _getActiveHandles(): unknown[] })._getActiveHandles();
  for (const handle of handles) {
    const socket = handle as { remotePort?: number; destroy?: () => void };
    if (socket.remotePort === port) socket.destroy?.();
  }
}

/** Cuts the connections to a port after random times of up to `mostMs`, until told to stop; resolves with how often. */
export async function cutAgainAndAgain(port: number, mostMs: number, signal: AbortSignal): Promise<number> {
  let times = 0;
  for (; !signal.aborted; times++) {
    await new Promise((resolve) => setTimeout(resolve, mostMs * Math.random()));
    cutSocketsTo(port);
  }
  return times;
}

export interface KafkaInTests {
  /** The broker, once the suite runs. */
  broker(): KafkaBroker;
  clients: ReturnType<typeof kafkaClients>;
  /** A topic of a fresh name. */
  topicOf(partitions?: number, config?: Record<string, string>): Promise<string>;
  /** Publishes texts; each must be taken. */
  publish(topic: string, payloads: readonly string[]): Promise<void>;
}

/** Starts a broker for the tests of this suite, with clients that are closed after each. */
export function useKafka(settings: Record<string, string> = {}): KafkaInTests {
  let kafka: KafkaBroker;
  const clients = kafkaClients(() => kafka.host);
  beforeAll(async () => {
    kafka = await startKafkaBroker({ settings });
  });
  afterEach(() => clients.close());
  afterAll(() => kafka?.stop());
  return {
    broker: () => kafka,
    clients,
    async topicOf(partitions = 1, config = {}) {
      const topic = freshTopic("orders");
      await kafka.createTopic(topic, { partitions, config });
      return topic;
    },
    async publish(topic, payloads) {
      const { publisher } = await clients.openBroker();
      const outcomes = await publisher.publish(
        topic,
        payloads.map((payload) => messageOf(payload)),
      );
      expect(outcomes.every(({ ok }) => ok)).toBe(true);
    },
  };
}
