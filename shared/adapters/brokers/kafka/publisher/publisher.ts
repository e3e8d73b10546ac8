import { setTimeout as sleep } from "node:timers/promises";
import { BrokerError } from "../../../../core/errors.ts";
import { contentSize } from "../../../../core/message.ts";
import type { OutgoingMessage, Publisher, PublishLimits, PublishOutcome } from "../../../../core/ports/publisher.ts";
import { checkCall } from "../../../support/call-limits.ts";
import type { Compression } from "../compressions.ts";
import { brokerErrorOf, closedError } from "../errors.ts";
import { checkTopic } from "../names.ts";
import { INIT_PRODUCER_ID } from "../wire/apis.ts";
import type { Cluster, TopicInfo } from "../wire/cluster.ts";
import { PRODUCE_KEY, PRODUCE_VERSIONS, produceTo } from "../wire/produce.ts";
import { protocolCodeOf } from "../wire/protocol-errors.ts";
import { adapt, cannotCarry } from "./carrying.ts";
import { createLane, type Lane, type Placed } from "./lane.ts";
import { createPlacing } from "./placing.ts";
import { recordOf } from "./record.ts";

export interface KafkaPublisherOptions {
  compression: Compression;
  isIdempotent: boolean;
  maxMessageBytes: number;
}

/** Nothing hangs when the brokers are away. */
const CALL_MS = 9_000;
/** A topic that was just made is not known to every broker at once. */
const MISSING_FOR_MS = 1_000;
const TOPIC_MAX_AGE_MS = 60_000;
const RETRY_MS = 200;
const MAX_MESSAGES = 10_000;
const MAX_CALL_BYTES = 32_000_000;
const REQUESTS_IN_FLIGHT = 20;
const REQUEST_TIMEOUT_MS = 30_000;
/** How long the leader waits for its replicas. */
const REPLICAS_WITHIN_MS = 8_000;
const TRANSACTION_TIMEOUT_MS = 60_000;

/** Publishes to Kafka's topics, each partition's messages in their order. Owns the cluster. */
export function createPublisher(cluster: Cluster, options: KafkaPublisherOptions): Publisher {
  const limits: PublishLimits = {
    maxMessages: MAX_MESSAGES,
    maxBytes: Math.max(MAX_CALL_BYTES, options.maxMessageBytes),
    maxMessageBytes: options.maxMessageBytes,
  };
  const connections = cluster.connections({ maxInflights: REQUESTS_IN_FLIGHT, requestTimeout: REQUEST_TIMEOUT_MS });
  const placing = createPlacing();
  const lanes = new Map<string, Lane>();
  let isClosed = false;

  const topicOf = async (topic: string, endMs: number): Promise<TopicInfo> => {
    const startedMs = performance.now();
    for (;;) {
      try {
        return await within(endMs, cluster.topic(topic, TOPIC_MAX_AGE_MS));
      } catch (error) {
        const untilMs = protocolCodeOf(error) === "UNKNOWN_TOPIC_OR_PARTITION" ? Math.min(endMs, startedMs + MISSING_FOR_MS) : endMs;
        const failure = brokerErrorOf(error, `publishing to ${topic}`);
        const mayPass = failure.retryable || failure.code === "topic_missing";
        if (isClosed || !mayPass || performance.now() + RETRY_MS >= untilMs) throw failure;
        await sleep(RETRY_MS);
      }
    }
  };
  const laneOf = (topic: string, partition: number): Lane => {
    const name = `${topic}/${partition}`;
    const known = lanes.get(name);
    if (known) return known;
    let isStale = false;
    const lane = createLane({
      topic,
      partition,
      compression: options.compression,
      async newProducer(endMs) {
        if (!options.isIdempotent) return undefined;
        const { producerId, producerEpoch } = await within(endMs, cluster.askAny(INIT_PRODUCER_ID, null, TRANSACTION_TIMEOUT_MS, -1n, -1));
        return { id: producerId, epoch: producerEpoch };
      },
      async produce(batch, endMs) {
        if (isClosed) throw closedError();
        const { leaders } = await within(endMs, cluster.topic(topic, isStale ? 0 : TOPIC_MAX_AGE_MS));
        isStale = false;
        const broker = await within(endMs, cluster.broker(leaders[partition] ?? -1));
        const sent = { topic, partition, batch };
        const call = connections.call(broker, PRODUCE_KEY, PRODUCE_VERSIONS, (connection, version) =>
          produceTo(connection, version, sent, REPLICAS_WITHIN_MS),
        );
        return within(endMs, call);
      },
      onStale() {
        isStale = true;
      },
    });
    lanes.set(name, lane);
    return lane;
  };
  return {
    limits,
    adapt,
    cannotCarry,
    async publish(topic, messages) {
      if (isClosed) throw closedError();
      checkTopic(topic);
      checkCall(messages, limits);
      const outcomes = messages.map((message) => refusalOf(message, limits));
      if (outcomes.every((outcome) => outcome !== undefined)) return outcomes as PublishOutcome[];
      const endMs = performance.now() + CALL_MS;
      const { leaders } = await topicOf(topic, endMs);
      const byPartition = place(messages, outcomes, placing.partitionsOf(messages, leaders.length), leaders.length);
      await Promise.all([...byPartition].map(([partition, placed]) => laneOf(topic, partition).send(placed, outcomes, endMs)));
      const certain = outcomes.map((outcome) => (outcome?.ok === false ? outcome.error : undefined));
      // Where nothing at all could be sent, and every message says the same, the call says it.
      if (certain.every((error) => error?.code === "access_denied" || error?.code === "topic_missing")) throw certain[0];
      return outcomes as PublishOutcome[];
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      await cluster.close();
    },
  };
}

function place(
  messages: readonly OutgoingMessage[],
  outcomes: (PublishOutcome | undefined)[],
  partitions: readonly number[],
  partitionCount: number,
): Map<number, Placed[]> {
  const nowMs = Date.now();
  const byPartition = new Map<number, Placed[]>();
  messages.forEach((message, position) => {
    if (outcomes[position]) return;
    const partition = partitions[position] as number;
    if (partition < 0) {
      const text = `publishing to partition ${message.toPartition}: the topic has ${partitionCount}; give it as many as the source has`;
      outcomes[position] = { ok: false, error: new BrokerError("unsupported", text) };
      return;
    }
    const placed = byPartition.get(partition);
    const each = { position, record: recordOf(message, nowMs) };
    if (placed) placed.push(each);
    else byPartition.set(partition, [each]);
  });
  return byPartition;
}

function refusalOf(message: OutgoingMessage, { maxMessageBytes }: PublishLimits): PublishOutcome | undefined {
  const bytes = contentSize(message);
  if (bytes > maxMessageBytes) {
    const text = `publishing a message of ${bytes} bytes: at most ${maxMessageBytes}; raise maxMessageBytes in PERSISTOR_KAFKA and the topic's max.message.bytes`;
    return { ok: false, error: new BrokerError("too_large", text) };
  }
  const reason = cannotCarry(message);
  return reason === undefined ? undefined : { ok: false, error: new BrokerError("unsupported", `publishing a message: ${reason}`) };
}

/** Gives up waiting at `endMs` of `performance.now()`; what is under way goes on. */
async function within<T>(endMs: number, work: Promise<T>): Promise<T> {
  const giveUp = new AbortController();
  const late = sleep(Math.max(0, endMs - performance.now()), undefined, { signal: giveUp.signal }).then(
    () => Promise.reject(new Error("no answer in time")),
    () => new Promise<never>(() => undefined),
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    giveUp.abort();
  }
}
