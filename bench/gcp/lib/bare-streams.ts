import type { Measure } from "../../lib/child.ts";
import { peakRssMb } from "../../lib/process-usage.ts";
import type { Consumed, ConsumeOrder } from "./bare-consumer.ts";

/** As the adapter opens them. */
const STREAMS = 16;
const OUTSTANDING_MESSAGES = 20_000;
const IDS_PER_CALL = 1_000;
const LEASE_SECONDS = 60;

/** The same as the bare consumer by the SDK's low-level client: several streams, and acknowledgements of 1,000 ids. */
export const measure: Measure<ConsumeOrder, Consumed> = async ({ host, projectId, subscription: id, count }) => {
  const startMs = performance.now();
  const { v1 } = await import("@google-cloud/pubsub");
  const { clientOptions } = await import("./pubsub.ts");
  const client = new v1.SubscriberClient(clientOptions({ host, projectId }));
  await client.initialize();
  const subscription = client.subscriptionPath(projectId, id);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const seen = new Set<string>();
  const calls: Promise<unknown>[] = [];
  let ackIds: string[] = [];
  const acknowledge = () => {
    calls.push(client.acknowledge({ subscription, ackIds }).catch(reject));
    ackIds = [];
  };
  const streams = Array.from({ length: STREAMS }, () => {
    const stream = client.streamingPull();
    stream.write({
      subscription,
      streamAckDeadlineSeconds: LEASE_SECONDS,
      maxOutstandingMessages: OUTSTANDING_MESSAGES / STREAMS,
    });
    stream.on("error", reject);
    stream.on("data", ({ receivedMessages }: { receivedMessages: { ackId: string; message: { messageId: string } }[] }) => {
      for (const { ackId, message } of receivedMessages) {
        seen.add(message.messageId);
        ackIds.push(ackId);
        if (ackIds.length >= IDS_PER_CALL || seen.size === count) acknowledge();
      }
      if (seen.size === count) resolve();
    });
    return stream;
  });
  await promise;
  await Promise.all(calls);
  const ms = performance.now() - startMs;
  for (const stream of streams)
    stream
      .removeAllListeners("error")
      .on("error", () => undefined)
      .cancel();
  await client.close();
  return { ms, peakRssMb: peakRssMb() };
};
