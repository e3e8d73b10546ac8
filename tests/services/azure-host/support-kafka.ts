import { randomUUID } from "node:crypto";
import { Producer } from "@platformatic/kafka";
import { afterAll, beforeAll } from "vitest";
import { type KafkaBroker, startKafkaBroker } from "../kafka-broker.ts";
import type { AzureHost, AzureHostOptions } from "./host.ts";
import { startApp, TELL } from "./support-app.ts";

export interface KafkaSetup {
  topic: string;
  /** Part of the consumer group's name. */
  group?: string;
  /** Further options of the trigger, as code. */
  trigger: string;
  /** Of the handler `(input, context)`. */
  body: string;
  hostJson?: object;
  options?: Partial<AzureHostOptions>;
}

export interface SentRecord {
  value: Buffer | null;
  key?: Buffer | null;
  headers?: Map<Buffer, Buffer>;
  /** Default 0. */
  partition?: number;
}

export interface KafkaSuite {
  readonly kafka: KafkaBroker;
  freshTopic(partitions?: number): Promise<string>;
  /** A host whose function `run` a topic triggers. */
  hostOf(setup: KafkaSetup): Promise<AzureHost>;
  send(topic: string, records: readonly SentRecord[], host?: string): Promise<void>;
}

export const MANY_BINARY = 'cardinality: "MANY", dataType: "binary"';
export const texts = (...values: string[]): SentRecord[] => values.map((value) => ({ value: Buffer.from(value) }));

/** Starts a broker for the tests of a `describe`. */
export function kafkaSuite(): KafkaSuite {
  let kafka: KafkaBroker;
  beforeAll(async () => {
    kafka = await startKafkaBroker({ settings: { "group.min.session.timeout.ms": "1000" } });
  });
  afterAll(() => kafka?.stop());
  return {
    get kafka() {
      return kafka;
    },
    async freshTopic(partitions = 1) {
      const topic = `topic-${randomUUID()}`;
      await kafka.createTopic(topic, { partitions });
      return topic;
    },
    hostOf({ hostJson = {}, options, ...setup }) {
      const section = { sessionTimeoutMs: 6_000, ...hostJson };
      return startApp(
        { code: TELL + codeOf(setup), hostJson: { extensions: { kafka: section } } },
        { env: { BROKERS: kafka.host, TOPIC: setup.topic }, ...options },
      );
    },
    async send(topic, records, host = kafka.host) {
      const producer = new Producer({ clientId: "test", bootstrapBrokers: [host] });
      const messages = records.map(({ partition = 0, ...record }) => ({ topic, partition, ...record }) as never);
      await producer.send({ messages });
      await producer.close();
    },
  };
}

const codeOf = ({ topic, group = "group", trigger, body }: KafkaSetup): string => `
  app.generic("run", { trigger: { type: "kafkaTrigger", name: "input", brokerList: "BROKERS", topic: "%TOPIC%", consumerGroup: "${group}-${topic}", ${trigger} },
    handler: async (input, context) => { ${body} } });`;
