import { isUtf8 } from "node:buffer";
import type { ServiceBusClient, ServiceBusSender } from "@azure/service-bus";
import { mapConcurrently } from "../../../core/concurrency.ts";
import { BrokerError } from "../../../core/errors.ts";
import { contentSize, type MessageContent } from "../../../core/message.ts";
import type { OutgoingMessage, Publisher, PublishLimits, PublishOutcome } from "../../../core/ports/publisher.ts";
import { carryingFault } from "../../support/amqp/carrying.ts";
import { ANNOTATION_PREFIX, PARTITION_KEY_ANNOTATION } from "../../support/amqp/sections.ts";
import { writeMessage } from "../../support/amqp/writing.ts";
import { checkCall } from "../../support/call-limits.ts";
import { within } from "../../support/within.ts";
import { type Connecting, closeClient } from "./connection.ts";
import { brokerErrorOf, closedError, isConnectionError, noAnswer } from "./errors.ts";
import { SERVICE_BUS } from "./message.ts";
import { checkName } from "./names.ts";
import { createSending, type Placed } from "./sending.ts";

/** Properties and application properties of one message. */
const MAX_HEADER_BYTES = 64_000;
const LANES_AT_ONCE = 16;
const OPEN_WITHIN_MS = 15_000;

/** Publishes to queues and topics. */
export function createPublisher(connect: Connecting, maxMessageBytes: number): Publisher {
  const limits: PublishLimits = { maxMessages: 10_000, maxBytes: Math.max(16_000_000, maxMessageBytes), maxMessageBytes };
  let senders = createSenders(connect);
  let isClosed = false;

  /** The SDK may be stuck with a connection that failed: what comes later gets another one. */
  const partWith = (failed: Senders) => {
    if (isClosed || failed !== senders) return;
    senders = createSenders(connect);
    void failed.close();
  };
  return {
    limits,
    adapt,
    cannotCarry,
    async publish(topic, messages) {
      if (isClosed) throw closedError();
      checkName("topic or queue", topic);
      checkCall(messages, limits);
      if (messages.length === 0) return [];
      const doing = `publishing to ${topic}`;
      const outcomes = new Array<PublishOutcome | undefined>(messages.length);
      const lanes = lanesOf(messages, outcomes, doing, limits);
      if (lanes.length === 0) return outcomes as PublishOutcome[];
      const used = senders;
      try {
        const sending = await used.open(topic, doing);
        await mapConcurrently(lanes, LANES_AT_ONCE, (lane) => sending(lane, outcomes));
      } catch (error) {
        if (isConnectionError(error)) partWith(used);
        throw brokerErrorOf(error, doing);
      }
      if (outcomes.some((outcome) => outcome?.ok === false && isConnectionError(outcome.error))) partWith(used);
      return outcomes as PublishOutcome[];
    },
    async close() {
      isClosed = true;
      await senders.close();
    },
  };
}

interface Senders {
  /** Opens the link to a topic. Throws where the topic is missing, closed to us or out of reach: nothing was sent then. */
  open(topic: string, doing: string): Promise<ReturnType<typeof createSending>>;
  close(): Promise<void>;
}

/** The senders of one connection, which is made with the first. */
function createSenders(connect: Connecting): Senders {
  const all = new Map<string, ServiceBusSender>();
  let client: ServiceBusClient | undefined;
  return {
    async open(topic, doing) {
      client ??= connect();
      const sender = all.get(topic) ?? client.createSender(topic);
      all.set(topic, sender);
      const opening = new AbortController();
      try {
        const batch = sender.createMessageBatch({ abortSignal: opening.signal });
        const { maxSizeInBytes } = await within(OPEN_WITHIN_MS, batch, noAnswer);
        return createSending(sender, maxSizeInBytes, doing);
      } finally {
        opening.abort();
      }
    },
    async close() {
      if (client) await closeClient(client);
    },
  };
}

/** A record key becomes the session id, where there is none and the key is text. */
export function adapt(content: MessageContent): MessageContent {
  const { key, orderingKey } = content;
  if (key === null || orderingKey !== "" || key.length === 0 || !isUtf8(key)) return content;
  const text = Buffer.from(key).toString("utf8");
  return text.length > SERVICE_BUS.maxOrderingKey ? content : { ...content, key: null, orderingKey: text };
}

/** Why Service Bus cannot carry `content` unaltered, naming the part; undefined where it can. */
export function cannotCarry(content: MessageContent): string | undefined {
  const fault = carryingFault(content, SERVICE_BUS);
  if (fault !== undefined) return fault;
  const headerBytes = contentSize({ ...content, payload: NO_BYTES });
  return headerBytes > MAX_HEADER_BYTES
    ? `Service Bus takes up to ${MAX_HEADER_BYTES} bytes of properties, and this message has ${headerBytes}`
    : undefined;
}

const NO_BYTES = new Uint8Array(0);

/**
 * What may be sent, in lanes that each keep their order: one for each session or partition key, as a batch goes to one partition, and one for
 * all that has neither. Fills the outcomes of what may not.
 */
function lanesOf(
  messages: readonly OutgoingMessage[],
  outcomes: (PublishOutcome | undefined)[],
  doing: string,
  limits: PublishLimits,
): Placed[][] {
  const lanes = new Map<string, Placed[]>();
  for (const [position, content] of messages.entries()) {
    const refusal = refusalOf(content, doing, limits);
    if (refusal) {
      outcomes[position] = { ok: false, error: refusal };
      continue;
    }
    const placed: Placed = { position, content, encoded: writeMessage(content, SERVICE_BUS, content.messageId) };
    const key = laneKey(content);
    const lane = lanes.get(key);
    if (lane) lane.push(placed);
    else lanes.set(key, [placed]);
  }
  return [...lanes.values()];
}

function refusalOf(content: OutgoingMessage, doing: string, { maxMessageBytes }: PublishLimits): BrokerError | undefined {
  const size = contentSize(content);
  if (size > maxMessageBytes) {
    return new BrokerError(
      "too_large",
      `${doing}: the message has ${size} bytes, more than ${maxMessageBytes}; send less, or raise maxMessageBytes`,
    );
  }
  const fault = cannotCarry(content);
  return fault === undefined ? undefined : new BrokerError("unsupported", `${doing}: ${fault}; publish it elsewhere`);
}

function laneKey({ orderingKey, system }: MessageContent): string {
  if (orderingKey !== "") return `session ${orderingKey}`;
  const partitionKey = system.find(({ name }) => name === ANNOTATION_PREFIX + PARTITION_KEY_ANNOTATION)?.value;
  return typeof partitionKey === "string" ? `partition ${partitionKey}` : "";
}
