import { type MessageToProduce, ProduceAcks, Producer } from "@platformatic/kafka";
import type { Measure } from "../../lib/child.ts";
import { inLanes, timed } from "../../lib/timing.ts";
import { limitMsOf, within } from "../../lib/within.ts";
import type { FillOrder } from "./fill.ts";
import { contentAt } from "./messages.ts";

/** As many as a resubmission publishes in a call. */
const MESSAGES_PER_CALL = 2_500;
const CALLS_IN_FLIGHT = 3;
/** Made at a time, outside what is measured. */
const READY_MESSAGES = 50_000;

/** Milliseconds that sending flights by the client library's own producer takes, idempotent and acknowledged by all replicas, with the messages ready in memory. */
export const measure: Measure<FillOrder, number> = async ({ host, topic, count }) => {
  const producer = new Producer({ clientId: "bench", bootstrapBrokers: [host], idempotent: true, acks: ProduceAcks.ALL });
  let ms = 0;
  for (let first = 0; first < count; first += READY_MESSAGES) {
    const calls = callsOf(topic, first, Math.min(READY_MESSAGES, count - first));
    const sent = inLanes(CALLS_IN_FLIGHT, calls.length, async (i) => {
      await producer.send({ messages: calls[i] as MessageToProduce[] });
    });
    ms += await timed(() => within(limitMsOf(READY_MESSAGES), `sending ${READY_MESSAGES} messages by the client library`, sent));
  }
  return ms;
};

function callsOf(topic: string, first: number, count: number): MessageToProduce[][] {
  return Array.from({ length: Math.ceil(count / MESSAGES_PER_CALL) }, (_, call) => {
    const from = call * MESSAGES_PER_CALL;
    return Array.from({ length: Math.min(MESSAGES_PER_CALL, count - from) }, (_, i) => messageOf(topic, first + from + i));
  });
}

function messageOf(topic: string, i: number): MessageToProduce {
  const { key, payload, attributes } = contentAt(i);
  const headers = new Map(attributes.map(({ name, value }) => [Buffer.from(name), Buffer.from(value as string)]));
  return { topic, key: key as Buffer, value: payload as Buffer, headers };
}
