import { isUtf8 } from "node:buffer";
import { setTimeout as sleep } from "node:timers/promises";
import type { EventHubProducerClient } from "@azure/event-hubs";
import { mapConcurrently } from "../../../core/concurrency.ts";
import { BrokerError } from "../../../core/errors.ts";
import { contentSize, type MessageContent } from "../../../core/message.ts";
import type { OutgoingMessage, Publisher, PublishLimits, PublishOutcome } from "../../../core/ports/publisher.ts";
import { carryingFault } from "../../support/amqp/carrying.ts";
import { writeMessage } from "../../support/amqp/writing.ts";
import { checkCall } from "../../support/call-limits.ts";
import type { Connecting } from "./connection.ts";
import { brokerErrorOf, closedError } from "./errors.ts";
import { EVENT_HUBS } from "./message.ts";
import { checkHub } from "./names.ts";
import { needsPartitions, placeOf } from "./placing.ts";
import { type Lane, sendLane } from "./sending.ts";

const LANES_AT_ONCE = 16;
/** Nothing hangs when the service is away. */
const CALL_MS = 30_000;
const CLOSE_WITHIN_MS = 5_000;
const PARTITIONS_MAX_AGE_MS = 60_000;

/** Publishes to event hubs. */
export function createPublisher(connecting: Connecting, maxMessageBytes: number): Publisher {
  const limits: PublishLimits = { maxMessages: 10_000, maxBytes: Math.max(16_000_000, maxMessageBytes), maxMessageBytes };
  const hubs = new Map<string, Hub>();
  let isClosed = false;

  const hubOf = (name: string): Hub => {
    const hub = hubs.get(name) ?? openHub(connecting.producer(name));
    hubs.set(name, hub);
    return hub;
  };
  return {
    limits,
    adapt,
    cannotCarry,
    async publish(topic, messages) {
      if (isClosed) throw closedError();
      checkHub(topic);
      checkCall(messages, limits);
      const doing = `publishing to ${topic}`;
      const outcomes = messages.map((message) => refusalOf(message, doing, limits));
      if (outcomes.every((outcome) => outcome !== undefined)) return outcomes as PublishOutcome[];
      const hub = hubOf(topic);
      const signal = AbortSignal.timeout(CALL_MS);
      const partitions = await partitionsOf(hub, messages, doing, signal);
      const lanes = lanesOf(messages, outcomes, partitions, doing);
      await mapConcurrently(lanes, LANES_AT_ONCE, (lane) => sendLane(lane, outcomes, { producer: hub.producer, doing, signal }));
      return outcomes as PublishOutcome[];
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      const closed = Promise.allSettled([...hubs.values()].map(({ producer }) => producer.close()));
      await Promise.race([closed, sleep(CLOSE_WITHIN_MS, undefined, { ref: false })]);
    },
  };
}

interface Hub {
  producer: EventHubProducerClient;
  /** Names of its partitions; asked for anew where those that are known are too old, or not enough. */
  partitions(isEnough: (known: readonly string[]) => boolean, signal: AbortSignal): Promise<readonly string[]>;
}

function openHub(producer: EventHubProducerClient): Hub {
  let known: readonly string[] = [];
  let knownAtMs = Number.NEGATIVE_INFINITY;
  return {
    producer,
    async partitions(isEnough, abortSignal) {
      const isKnown = performance.now() - knownAtMs < PARTITIONS_MAX_AGE_MS && isEnough(known);
      if (!isKnown) {
        known = await producer.getPartitionIds({ abortSignal });
        knownAtMs = performance.now();
      }
      return known;
    },
  };
}

/** Looks whether the hub is there, and for its partitions where a message asks for one. Throws BrokerError where it is missing, closed to us or out of reach: nothing was sent then. */
async function partitionsOf(
  hub: Hub,
  messages: readonly OutgoingMessage[],
  doing: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const wanted = messages.filter(needsPartitions).map(({ toPartition }) => toPartition);
  try {
    if (wanted.length < messages.length) await hub.producer.createBatch({ abortSignal: signal });
    if (wanted.length === 0) return [];
    return await hub.partitions((known) => wanted.every((partition) => partition === undefined || known.includes(partition)), signal);
  } catch (error) {
    throw brokerErrorOf(error, doing);
  }
}

/** A record key becomes the partition key, where there is none and the key is text. */
export function adapt(content: MessageContent): MessageContent {
  const { key, orderingKey } = content;
  if (key === null || orderingKey !== "" || key.length === 0 || !isUtf8(key)) return content;
  const text = Buffer.from(key).toString("utf8");
  return text.length > EVENT_HUBS.maxOrderingKey ? content : { ...content, key: null, orderingKey: text };
}

/** Why Event Hubs cannot carry `content` unaltered, naming the part; undefined where it can. */
export function cannotCarry(content: MessageContent): string | undefined {
  return carryingFault(content, EVENT_HUBS);
}

/**
 * What may be sent, in lanes that each keep their order: one for each partition key, as a batch has one, one for each partition that was asked for, and
 * one for all else. Fills the outcomes of what asks for a partition that is not there.
 */
function lanesOf(
  messages: readonly OutgoingMessage[],
  outcomes: (PublishOutcome | undefined)[],
  partitions: readonly string[],
  doing: string,
): Lane[] {
  const lanes = new Map<string, Lane>();
  for (const [position, message] of messages.entries()) {
    if (outcomes[position]) continue;
    const place = placeOf(message, partitions);
    if (!place) {
      const text = `${doing}: the event hub has no partition ${message.toPartition}; give it as many as the source has`;
      outcomes[position] = { ok: false, error: new BrokerError("refused", text) };
      continue;
    }
    const name = JSON.stringify(place);
    const lane = lanes.get(name) ?? { place, placed: [] };
    lanes.set(name, lane);
    lane.placed.push({ position, encoded: writeMessage(message, EVENT_HUBS) });
  }
  return [...lanes.values()];
}

function refusalOf(content: OutgoingMessage, doing: string, { maxMessageBytes }: PublishLimits): PublishOutcome | undefined {
  const size = contentSize(content);
  if (size > maxMessageBytes) {
    const text = `${doing}: the message has ${size} bytes, more than ${maxMessageBytes}; send less, or raise maxMessageBytes`;
    return { ok: false, error: new BrokerError("too_large", text) };
  }
  const fault = cannotCarry(content);
  return fault === undefined ? undefined : { ok: false, error: new BrokerError("unsupported", `${doing}: ${fault}; publish it elsewhere`) };
}
