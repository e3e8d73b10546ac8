import type { Measure } from "../../lib/child.ts";
import { peakRssMb } from "../../lib/process-usage.ts";
import type { Emulator } from "./pubsub.ts";

/** `count` messages wait in a subscription. */
export interface ConsumeOrder extends Emulator {
  subscription: string;
  count: number;
}

export interface Consumed {
  /** From loading the SDK until the last message was acknowledged. */
  ms: number;
  peakRssMb: number;
}

/** More than the SDK's 1,000, which would make it wait for its own acknowledgements. */
const OUTSTANDING_MESSAGES = 10_000;

/** Takes and acknowledges messages by the SDK's own way, and does nothing with them. */
export const measure: Measure<ConsumeOrder, Consumed> = async ({ host, projectId, subscription, count }) => {
  const startMs = performance.now();
  const { openPubSub } = await import("./pubsub.ts");
  const pubsub = openPubSub({ host, projectId });
  const reading = pubsub.subscription(subscription, { flowControl: { maxMessages: OUTSTANDING_MESSAGES } });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const seen = new Set<string>();
  reading.on("error", reject);
  reading.on("message", (message) => {
    message.ack();
    seen.add(message.id);
    if (seen.size === count) resolve();
  });
  await promise;
  const ms = performance.now() - startMs;
  await reading.close();
  await pubsub.close();
  return { ms, peakRssMb: peakRssMb() };
};
