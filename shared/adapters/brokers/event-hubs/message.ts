import type { Message } from "../../../core/message.ts";
import { createMessageReading } from "../../support/amqp/reading.ts";

/** What tells whose messages these are. */
export interface Origin {
  /** Becomes `brokerId`. */
  id: string;
  topic: string;
  partition: string;
}

/** Where an event lies in its partition. */
export interface Position {
  /** As the service writes it. */
  offset: string;
  sequenceNumber: number;
}

/** Product name, ordering part and limits, for the support of AMQP. */
export const EVENT_HUBS = { product: "Event Hubs", orderingPart: "partition-key", maxOrderingKey: 128 } as const;

const ENQUEUED_TIME = "x-opt-enqueued-time";
/**
 * https://learn.microsoft.com/azure/event-hubs/event-hubs-features-overview; the last three are those of a producer that has repeats dropped. IoT
 * Hub's (`iothub-…`) and a publisher's name (`x-opt-publisher`) tell something of the message, and are content.
 */
export const BROKER_ANNOTATIONS: ReadonlySet<string> = new Set([
  "x-opt-sequence-number",
  "x-opt-sequence-number-epoch",
  "x-opt-offset",
  ENQUEUED_TIME,
  "com.microsoft:producer-epoch",
  "com.microsoft:producer-id",
  "com.microsoft:producer-sequence-number",
]);

const read = createMessageReading({ ...EVENT_HUBS, brokerAnnotations: BROKER_ANNOTATIONS });

/** Reads an encoded message as Event Hubs delivers it from `position`. */
export function messageOf(bytes: Buffer, { offset, sequenceNumber }: Position, { id, topic, partition }: Origin): Message {
  const { content, broker } = read(bytes);
  return {
    ...content,
    brokerId: id,
    brokerMessageId: `${partition}-${offset}`,
    topic,
    partition,
    sequence: BigInt(sequenceNumber),
    publishTimeUs: Number(broker.get(ENQUEUED_TIME) ?? 0) * 1000,
  };
}
