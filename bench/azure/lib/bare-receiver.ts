import { ServiceBusClient } from "@azure/service-bus";
import type { Measure } from "../../lib/child.ts";
import type { Persisted } from "../../lib/persister.ts";
import { peakRssMb } from "../../lib/process-usage.ts";
import { limitMsOf, within } from "../../lib/within.ts";
import type { Namespace } from "./service-bus.ts";

/** `count` messages wait in a subscription. */
export interface ReceiveOrder extends Namespace {
  topic: string;
  subscription: string;
  count: number;
}

const MESSAGES_PER_CALL = 1_000;

/** Receives and completes messages by the SDK's own calls, and does nothing with them. */
export const measure: Measure<ReceiveOrder, Persisted> = async ({ connectionString, topic, subscription, count }) => {
  const before = process.cpuUsage();
  const startMs = performance.now();
  const client = new ServiceBusClient(connectionString);
  const receiver = client.createReceiver(topic, subscription);
  const completing = async () => {
    for (let completed = 0; completed < count; ) {
      const messages = await receiver.receiveMessages(MESSAGES_PER_CALL);
      await Promise.all(messages.map((message) => receiver.completeMessage(message)));
      completed += messages.length;
    }
  };
  await within(limitMsOf(count), `receiving ${count} messages bare`, completing());
  const { user, system } = process.cpuUsage(before);
  const result = { ms: performance.now() - startMs, cpuS: (user + system) / 1e6, peakRssMb: peakRssMb() };
  await client.close();
  return result;
};
