import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { open } from "../../shared/adapters/brokers/kafka/adapter.ts";
import { createConnecting } from "../../shared/adapters/brokers/kafka/connecting.ts";
import { createCoordinator } from "../../shared/adapters/brokers/kafka/group/coordinator.ts";
import { commitOffsets, committedOffsets, listOffsets } from "../../shared/adapters/brokers/kafka/group/offsets.ts";
import { kafkaSettings } from "../../shared/adapters/brokers/kafka/settings.ts";
import type { Cluster } from "../../shared/adapters/brokers/kafka/wire/cluster.ts";
import type { Message } from "../../shared/core/message.ts";
import { freeAbandoned } from "../../shared/runtime/local/abandoned.ts";
import type { KafkaBroker } from "../services/kafka-broker.ts";
import { createStoreReader, lettersOf, type StoredCopy, type StoredMessage } from "./support-kafka-judging.ts";
import { type KafkaWriter, openWriter } from "./support-kafka-writing.ts";
import { type Local, type LocalOptions, openLocal, until } from "./support-local.ts";

export const PARTITIONS = 16;
/** The least that the broker of these tests takes: those that were killed give way soon. */
export const SESSION_MS = 1_000;

export interface RigOptions {
  /** Where the index topic is. */
  index: "embedded" | "kafka";
  /** With a dead-letter topic at Kafka. */
  hasDeadLetters?: boolean;
  /** Changes of the pipeline `orders`. */
  change?(topic: string): Readonly<Record<string, unknown>>;
}

/** A topic of its own, what writes to it, and a pipeline that stores it in a folder and indexes it. */
export interface Rig {
  kafka: KafkaBroker;
  topic: string;
  group: string;
  indexTopic: string;
  /** Publishes to the topic. */
  writer: KafkaWriter;
  /** Of the process with the index; others have their own. */
  dataDir: string;
  pipelines: Readonly<Record<string, unknown>>;
  environment(dataDir: string): Record<string, string>;
  /** Everything in the store, by now. */
  stored(): Promise<StoredCopy[]>;
  /** Everything on the dead-letter topic, by now: each with the id and the digest of the message that it was. */
  deadLetters(): Promise<StoredMessage[]>;
  /** What the group has committed, by partition. */
  committed(): Promise<Map<number, number>>;
  /** Notes what the group has committed, of the topic as it is; what it returns commits that again, as one does who comes late. */
  lateCommit(): Promise<() => Promise<void>>;
  /** Runs the whole pipeline in this process. */
  open(options?: LocalOptions): Promise<Local>;
  /** Waits until everything that was published is persisted and indexed. */
  drained(local: Local): Promise<void>;
  dispose(): Promise<void>;
}

const ANSWER_MS = 10_000;
/** A group without members takes offsets from anyone. */
const NO_MEMBER = { memberId: "", id: -1 };

let rigs = 0;

export async function openRig(kafka: KafkaBroker, { index, hasDeadLetters = false, change = () => ({}) }: RigOptions): Promise<Rig> {
  const dataDir = await mkdtemp(join(tmpdir(), "persistor-kafka-rig-"));
  const name = `orders-${++rigs}`;
  const [topic, group, indexTopic] = [name, `${name}-persistor`, `${name}-index`];
  const storeDir = join(dataDir, "objects");
  await kafka.createTopic(topic, { partitions: PARTITIONS });
  const deadTopic = `${name}-dead`;
  if (hasDeadLetters) await kafka.createTopic(deadTopic);
  if (index === "kafka") await kafka.createTopic(indexTopic, { partitions: 4 });
  const pipelines = {
    orders: {
      source: { broker: "kafka", topic, subscription: group, sessionTimeoutMs: SESSION_MS },
      store: { kind: "fs", dir: storeDir, path: "" },
      batch: { maxMessages: 300, maxWaitMs: 50 },
      index: { broker: index, topic: indexTopic, collection: "orders" },
      ...(hasDeadLetters && { deadLetter: { broker: "kafka", topic: deadTopic } }),
      ...change(topic),
    },
  };
  const environment = (folder: string) => ({
    PERSISTOR_DATA_DIR: folder,
    PERSISTOR_SAMPLE: "off",
    PERSISTOR_PIPELINES: JSON.stringify(pipelines),
    PERSISTOR_KAFKA: JSON.stringify({ brokers: [kafka.host] }),
  });
  const writer = await openWriter(kafka, topic);
  return {
    kafka,
    topic,
    group,
    indexTopic,
    writer,
    dataDir,
    pipelines,
    environment,
    stored: createStoreReader(storeDir, topic),
    deadLetters: async () => (hasDeadLetters ? lettersOf(await everythingOn(kafka.host, deadTopic)) : []),
    committed: () => offsetsOf(kafka.host, topic, group).then(({ committed }) => committed),
    async lateCommit() {
      const { found } = await offsetsOf(kafka.host, topic, group);
      return () =>
        withCluster(kafka.host, (cluster) => commitOffsets(createCoordinator(cluster, group, ANSWER_MS), group, NO_MEMBER, topic, found));
    },
    open: (options) => openLocal(pipelines, { beforeStart: freeAbandoned, ...options, environment: environment(dataDir) }),
    async drained(local) {
      await until("the group to come to the end of the topic", () => isAtEnd(kafka.host, topic, group));
      if (index === "kafka") await until("the indexer to come to the end", () => isAtEnd(kafka.host, indexTopic, "persistor-indexer"));
      await local.drained();
    },
    async dispose() {
      await writer.stop().catch(() => undefined);
      await writer.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** What a group has committed, and where the partitions end. */
function offsetsOf(host: string, topic: string, group: string) {
  return withCluster(host, async (cluster) => {
    const info = await cluster.topic(topic, 0);
    const partitions = info.leaders.map((_, partition) => partition);
    const found = await committedOffsets(createCoordinator(cluster, group, ANSWER_MS), group, topic, partitions);
    const ends = await listOffsets(cluster, cluster.connections(), info, partitions, "latest");
    const ofThisTopic = [...found].filter(([, { note }]) => note.topicId === info.id);
    return { found, ends, committed: new Map(ofThisTopic.map(([partition, { offset }]) => [partition, offset])) };
  });
}

async function withCluster<T>(host: string, task: (cluster: Cluster) => Promise<T>): Promise<T> {
  const cluster = createConnecting(kafkaSettings.parse({ brokers: [host] }))();
  try {
    return await task(cluster);
  } finally {
    await cluster.close();
  }
}

/** All messages of a topic, read as a group of its own. */
async function everythingOn(host: string, topic: string): Promise<Message[]> {
  const broker = await open({ brokers: [host] }, { dataDir: "" });
  const group = `reader-${randomUUID()}`;
  const source = await broker.openSource({ id: topic, topic, subscription: group });
  const { ends } = await offsetsOf(host, topic, group);
  const count = ends.values().reduce((sum, end) => sum + end, 0);
  const messages: Message[] = [];
  await until(`${count} messages on ${topic}`, async () => {
    const limits = { maxMessages: 10_000, maxBytes: 64_000_000, maxWaitMs: 0 };
    messages.push(...(await source.receive(limits)).map(({ message }) => message));
    return messages.length >= count;
  });
  await broker.close();
  return messages;
}

async function isAtEnd(host: string, topic: string, group: string): Promise<boolean> {
  const { committed, ends } = await offsetsOf(host, topic, group).catch(() => ({ committed: new Map(), ends: new Map([[0, 1]]) }));
  return [...ends].every(([partition, end]) => (committed.get(partition) ?? 0) >= end);
}
