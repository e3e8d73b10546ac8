import { Consumer, type Message } from "@platformatic/kafka";
import { limitMsOf, within } from "../../lib/within.ts";

/** `count` messages lie in a topic. */
export interface ConsumeOrder {
  host: string;
  topic: string;
  group: string;
  count: number;
}

/**
 * Reads messages by the client library's own consumer. Returns the milliseconds from the first fetch, once the group was joined, until the
 * last message. Nothing is closed, for that can hang: end the process.
 */
export async function consume({ host, topic, group, count }: ConsumeOrder, take: (message: Message) => void): Promise<number> {
  const consumer = new Consumer({ clientId: "bench", groupId: group, bootstrapBrokers: [host] });
  const doing = `reading ${count} messages of ${topic}`;
  const stream = await within(
    limitMsOf(0),
    `joining group ${group}`,
    consumer.consume({ topics: [topic], mode: "earliest", autocommit: false }),
  );
  const startMs = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let seen = 0;
  stream.on("error", reject);
  stream.on("data", (message) => {
    try {
      take(message);
    } catch (error) {
      reject(error);
    }
    if (++seen === count) resolve();
  });
  await within(limitMsOf(count), doing, promise);
  return performance.now() - startMs;
}
