import { setTimeout as sleep } from "node:timers/promises";
import { Consumer, MessagesStreamFallbackModes, MessagesStreamModes } from "@platformatic/kafka";
import type { Listener, ListenerContext } from "../listener.ts";
import { createCommits } from "./commits.ts";
import { executeRecords } from "./execute.ts";
import type { KafkaRecord } from "./input.ts";
import { type KafkaOptions, kafkaOptions } from "./options.ts";

const RECONNECT_PAUSE_MS = 1_000;
const LOG = "Host.Triggers.Kafka";

interface Setup {
  context: ListenerContext;
  options: KafkaOptions;
  stopping: AbortSignal;
  dead: AbortSignal;
}

/** Runs a function with the records of a topic, as a member of its consumer group (azure-functions-kafka-extension KafkaListener). */
export function startKafkaListener(context: ListenerContext, appDir: string): Listener {
  const options = kafkaOptions(context.binding, context.settings, context.hostJson, appDir);
  const stopping = new AbortController();
  const dead = new AbortController();
  const running = keepConsuming({ context, options, stopping: stopping.signal, dead: dead.signal });
  return {
    async stop(how) {
      if (how === "abort") dead.abort();
      stopping.abort();
      await running;
    },
  };
}

async function keepConsuming(setup: Setup): Promise<void> {
  const { context, options, stopping } = setup;
  while (!stopping.aborted) {
    try {
      await consume(setup);
    } catch (error) {
      context.log.write("error", LOG, `Error in Kafka subscriber of '${options.topic}': ${(error as Error).message}`);
      await sleep(RECONNECT_PAUSE_MS, undefined, { signal: stopping }).catch(() => {});
    }
  }
}

/** Returns when the listener stops. Throws where the cluster does not let it consume. */
async function consume(setup: Setup): Promise<void> {
  const { context, options, stopping, dead } = setup;
  const consumer = new Consumer({
    clientId: "azure-host",
    groupId: options.consumerGroup,
    bootstrapBrokers: options.brokers,
    ...options.connection,
    autocommit: false,
    sessionTimeout: options.sessionTimeoutMs,
    heartbeatInterval: Math.floor(options.sessionTimeoutMs / 3),
    maxWaitTime: 100,
  });
  const report = (error: Error) => context.log.write("error", LOG, `Commit error: ${error.message}`);
  const commits = createCommits(options.commitIntervalMs, (offsets) => consumer.commit({ offsets }), report);
  try {
    const stream = await consumer.consume({
      topics: [options.topic],
      mode: MessagesStreamModes.COMMITTED,
      fallbackMode: options.isFromLatest ? MessagesStreamFallbackModes.LATEST : MessagesStreamFallbackModes.EARLIEST,
    });
    for await (const records of batchesOf(stream, options, stopping)) {
      await executeRecords({ context, options, commits, dead }, records);
    }
    if (!dead.aborted) await commits.finish();
  } finally {
    commits.abandon();
    await consumer.close(true).catch(() => {});
  }
}

interface Records {
  on(event: "data", listener: (record: KafkaRecord) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  pause(): unknown;
  resume(): unknown;
}

/** Gathers up to `maxBatchSize` records, for `intervalMs` at most; while one batch runs, the next one gathers, and then the stream waits. */
async function* batchesOf(
  stream: Records,
  { maxBatchSize, intervalMs }: KafkaOptions,
  stopping: AbortSignal,
): AsyncGenerator<KafkaRecord[]> {
  const gathered: KafkaRecord[] = [];
  let failure: Error | undefined;
  let notify = () => {};
  stream.on("data", (record) => {
    gathered.push(record);
    if (gathered.length >= 2 * maxBatchSize) stream.pause();
    notify();
  });
  stream.on("error", (error) => {
    failure = error;
    notify();
  });
  stopping.addEventListener("abort", () => notify());
  const isReady = () => gathered.length >= maxBatchSize || failure !== undefined || stopping.aborted;
  while (!stopping.aborted) {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => notifyNow(), intervalMs);
      const notifyNow = () => {
        clearTimeout(timer);
        notify = () => {};
        resolve();
      };
      notify = () => isReady() && notifyNow();
      notify();
    });
    if (failure) throw failure;
    if (gathered.length > 0 && !stopping.aborted) yield gathered.splice(0, maxBatchSize);
    stream.resume();
  }
}
