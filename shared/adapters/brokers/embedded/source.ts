import type { Source } from "../../../core/ports/source.ts";
import type { SourceSettings } from "../../registry.ts";
import type { Client } from "./client.ts";
import { type DeliveryOrigin, handsOf } from "./frames.ts";
import type { OpenedSubscription, SettleOp } from "./protocol.ts";
import { receiveDeliveries } from "./receiving.ts";

/** A pipeline's subscription: durable, in the order of publication but without holding anything up for it. */
export async function openSource(client: Client, settings: SourceSettings): Promise<Source> {
  const opened = await client.call<OpenedSubscription>("ensureSubscription", {
    topic: settings.topic,
    name: settings.subscription,
    options: { durable: true },
    onlyCreate: true,
    retained: false,
  });
  const origin: DeliveryOrigin = { brokerId: settings.id, topic: settings.topic, subscription: opened.id };
  const settle = (action: SettleOp["action"], ackIds: Iterable<string>, ms: number) => settleHands(client, origin, action, ackIds, ms);
  return {
    receive: (options) => receiveDeliveries(client, { ...options, origin, leaseMs: opened.leaseMs, enough: options.maxMessages }),
    acknowledge: (deliveries) => settle("acknowledge", ackIdsOf(deliveries), 0),
    async release(deliveries, delayMs) {
      await settle("release", ackIdsOf(deliveries), delayMs);
    },
    async extend(deliveries, leaseMs) {
      await settle("extend", ackIdsOf(deliveries), leaseMs);
    },
    async close() {
      await client.writes.drained();
    },
  };
}

function* ackIdsOf(deliveries: readonly { ackId: string }[]): Generator<string> {
  for (const { ackId } of deliveries) yield ackId;
}

/** Settles the hand-overs that these ack ids name; returns how many were still ours. Throws BrokerError. */
export async function settleHands(
  client: Client,
  { topic, subscription }: Pick<DeliveryOrigin, "topic" | "subscription">,
  action: SettleOp["action"],
  ackIds: Iterable<string>,
  ms: number,
): Promise<number> {
  client.checkOpen();
  const hands = handsOf(ackIds, subscription);
  if (hands.length === 0) return 0;
  const settled = await client.writes.submit({ kind: "settle", subscription, action, hands, ms });
  // Released messages, and those that waited behind a settled one of their key, may go out at once.
  client.wakeUps.notify(topic);
  return settled;
}
