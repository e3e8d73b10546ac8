import { sha256Hex } from "../../../core/digest.ts";
import { type Message, type MessageContent, NO_SEQUENCE } from "../../../core/message.ts";
import { createMessageReading } from "../../support/amqp/reading.ts";

/** What tells whose messages these are. */
export interface Origin {
  /** Becomes `brokerId`. */
  id: string;
  topic: string;
}

/** A message and what Service Bus says of this delivery of it. */
export interface Received {
  message: Message;
  /** 1 for the first delivery. */
  attempt: number;
  /** When its lock ends, in milliseconds since 1970. */
  lockedUntilMs: number;
}

/** Product name, ordering part and limits, for the support of AMQP. */
export const SERVICE_BUS = { product: "Service Bus", orderingPart: "group-id", maxOrderingKey: 128 } as const;

const SEQUENCE_NUMBER = "x-opt-sequence-number";
const ENQUEUED_TIME = "x-opt-enqueued-time";
const LOCKED_UNTIL = "x-opt-locked-until";
/** https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide#message-annotations */
const BROKER_ANNOTATIONS: ReadonlySet<string> = new Set([
  SEQUENCE_NUMBER,
  ENQUEUED_TIME,
  LOCKED_UNTIL,
  "x-opt-enqueue-sequence-number",
  "x-opt-message-state",
  "x-opt-partition-id",
  "x-opt-deadletter-source",
  "x-opt-lock-token",
]);

const read = createMessageReading({ ...SERVICE_BUS, brokerAnnotations: BROKER_ANNOTATIONS });

/** Reads an encoded message as Service Bus delivers it. */
export function messageOf(bytes: Buffer, origin: Origin): Received {
  const { content, broker, deliveryCount } = read(bytes);
  const lockedUntilMs = Number(broker.get(LOCKED_UNTIL) ?? 0);
  return { message: identified(content, broker, origin, bytes), attempt: deliveryCount + 1, lockedUntilMs };
}

function identified(content: MessageContent, broker: ReadonlyMap<string, bigint | string>, { id, topic }: Origin, bytes: Buffer): Message {
  const sequence = broker.get(SEQUENCE_NUMBER);
  return {
    ...content,
    brokerId: id,
    brokerMessageId: sequence === undefined ? `unnumbered-${sha256Hex(bytes).slice(0, 32)}` : String(sequence),
    topic,
    partition: "",
    sequence: typeof sequence === "bigint" ? sequence : NO_SEQUENCE,
    publishTimeUs: Number(broker.get(ENQUEUED_TIME) ?? 0) * 1000,
  };
}
