import { type KafkaBroker, startKafkaBroker } from "../../../tests/services/kafka-broker.ts";
import { type Progress, runChild } from "../../lib/child.ts";
import { spelled } from "../../lib/context.ts";
import { PARTITIONS } from "./context.ts";
import type { FillOrder } from "./fill.ts";

const HEAP_MB = 512;

/** Gives `work` a broker of its own, and stops it after it. */
export async function withBroker<T>(work: (broker: KafkaBroker) => Promise<T>): Promise<T> {
  const broker = await startKafkaBroker({ heapMb: HEAP_MB });
  try {
    return await work(broker);
  } finally {
    await broker.stop();
  }
}

export function makeTopic({ createTopic }: KafkaBroker, topic: string): Promise<void> {
  return createTopic(topic, { partitions: PARTITIONS });
}

/** Makes a topic and publishes flights 0 to `count` - 1 to it, by a process of its own. */
export async function fillTopic(broker: KafkaBroker, topic: string, count: number, progress: Progress): Promise<void> {
  progress(`publishing ${spelled(count)} messages`);
  await makeTopic(broker, topic);
  await runChild<FillOrder, null>(new URL("./fill.ts", import.meta.url), { host: broker.host, topic, count }, progress);
}
