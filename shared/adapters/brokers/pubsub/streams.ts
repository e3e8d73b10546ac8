import { setTimeout as sleep } from "node:timers/promises";
import { backOffMs } from "../../../core/retry.ts";
import type { PullStream } from "./connection.ts";
import { createHealth, type Health } from "./health.ts";
import type { ReceivedFields } from "./methods.ts";

export interface StreamsOptions {
  /** Opens a stream and asks for deliveries on it. */
  open(): Promise<PullStream>;
  onDeliveries(received: readonly ReceivedFields[]): void;
  /** Called when streams begin to fail. */
  onFailure(): void;
}

/** Several streams of one subscription, opened again whenever they end. */
export interface Streams {
  readonly health: Health;
  /** Opens a first stream; the others follow with the first deliveries, so that an idle subscription costs one. */
  start(): void;
  /** Stops and goes on reading; what is not read stays at the broker. */
  setPaused(paused: boolean): void;
  /** Ends all streams. They can be started again. */
  stop(): void;
}

/** One stream of Pub/Sub carries up to 10 MB a second; the emulator's carries 1,900 messages. */
export const STREAMS = 16;
const BACK_OFF = { firstDelayMs: 100, maxDelayMs: 5_000 } as const;
/** Pub/Sub closes streams on which the client says nothing. */
const PING_EVERY_MS = 30_000;

export function createStreams({ open, onDeliveries, onFailure }: StreamsOptions): Streams {
  const health = createHealth(onFailure);
  const reading = new Set<PullStream>();
  let isPaused = false;
  let running: AbortController | undefined;
  let started = 0;

  const startUpTo = (count: number) => {
    if (!running) return;
    while (started < count) {
      started++;
      void keepOpen(running.signal);
    }
  };
  const keepOpen = async (signal: AbortSignal): Promise<void> => {
    for (let failures = 0; !signal.aborted; ) {
      let delivered = false;
      const error = await readStream(signal, () => {
        delivered = true;
      });
      if (signal.aborted) return;
      health.failed(error);
      failures = delivered ? 1 : failures + 1;
      await sleep(backOffMs(failures, BACK_OFF), undefined, { signal }).catch(() => undefined);
    }
  };
  /** Resolves with why the stream ended. */
  const readStream = async (signal: AbortSignal, delivered: () => void): Promise<unknown> => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const end = () => resolve(undefined);
    let stream: PullStream | undefined;
    try {
      stream = await open();
    } catch (error) {
      return error;
    }
    signal.addEventListener("abort", end);
    let isEnded = signal.aborted;
    if (isEnded) end();
    const ping = setInterval(() => stream.write({}), PING_EVERY_MS);
    const stopWatching = health.watch();
    stream.on("error", resolve).on("end", end);
    stream.on("data", ({ receivedMessages }: { receivedMessages: ReceivedFields[] }) => {
      if (isEnded) return;
      delivered();
      health.succeeded();
      onDeliveries(receivedMessages);
      startUpTo(STREAMS);
    });
    if (isPaused) stream.pause();
    reading.add(stream);
    try {
      return await promise;
    } finally {
      isEnded = true;
      reading.delete(stream);
      clearInterval(ping);
      stopWatching();
      signal.removeEventListener("abort", end);
      stream.cancel();
    }
  };
  return {
    health,
    start() {
      running ??= new AbortController();
      startUpTo(1);
    },
    setPaused(paused) {
      if (paused === isPaused) return;
      isPaused = paused;
      for (const stream of reading) paused ? stream.pause() : stream.resume();
    },
    stop() {
      running?.abort();
      running = undefined;
      started = 0;
      isPaused = false;
      health.succeeded();
    },
  };
}
