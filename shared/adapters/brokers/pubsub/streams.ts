import { setTimeout as sleep } from "node:timers/promises";
import { backOffMs } from "../../../core/retry.ts";
import { createHealth, type Health } from "../../support/pulling/health.ts";
import type { PullStream } from "./connection.ts";
import { isTransient } from "./errors.ts";
import type { ReceivedFields } from "./methods.ts";
import { readStream } from "./reading.ts";

export interface StreamsOptions {
  /** Opens a stream and asks for deliveries on it. */
  open(): Promise<PullStream>;
  onDeliveries(received: readonly ReceivedFields[]): void;
  /** Called whenever a stream fails. */
  onFailure(): void;
}

/** Several streams of one subscription, opened again whenever they end. */
export interface Streams {
  readonly health: Health;
  /** Opens a first stream; the others follow with the first deliveries, so that an idle subscription costs one. */
  start(): void;
  /** Stops and goes on reading; what is not read stays at the broker. */
  setPaused(paused: boolean): void;
  /** Ends all streams; resolves when nothing more comes from them. They can be started again. */
  stop(): Promise<void>;
}

/** One stream of Pub/Sub carries up to 10 MB a second; the emulator's carries 1,900 messages. */
export const STREAMS = 16;
/** Pub/Sub ends streams now and then: only what fails again at once is a failure. */
const TOLERATED_FAILURES = 1;
const BACK_OFF = { firstDelayMs: 100, maxDelayMs: 5_000 } as const;

export function createStreams({ open, onDeliveries, onFailure }: StreamsOptions): Streams {
  const health = createHealth({ toleratedFailures: TOLERATED_FAILURES, isTransient, onFailure });
  const reading = new Map<PullStream, Promise<unknown>>();
  let isPaused = false;
  let running: AbortController | undefined;
  let started = 0;

  const startUpTo = (count: number) => {
    for (; running && started < count; started++) void keepOpen(running.signal);
  };
  const keepOpen = async (signal: AbortSignal): Promise<void> => {
    for (let failures = 0; !signal.aborted; ) {
      let hasDelivered = false;
      const error = await readOnce(signal, () => {
        hasDelivered = true;
      });
      if (signal.aborted) return;
      health.failed(error);
      failures = hasDelivered ? 1 : failures + 1;
      await sleep(backOffMs(failures, BACK_OFF), undefined, { signal }).catch(() => undefined);
    }
  };
  /** Resolves with why the stream ended, or did not open. */
  const readOnce = async (signal: AbortSignal, delivered: () => void): Promise<unknown> => {
    let stream: PullStream;
    try {
      stream = await open();
    } catch (error) {
      return error;
    }
    const stopWatching = health.watch();
    const ended = readStream(stream, signal, (received) => {
      delivered();
      health.succeeded();
      onDeliveries(received);
      startUpTo(STREAMS);
    });
    reading.set(stream, ended);
    if (isPaused) stream.pause();
    return ended.finally(() => {
      reading.delete(stream);
      stopWatching();
    });
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
      for (const stream of reading.keys()) paused ? stream.pause() : stream.resume();
    },
    async stop() {
      const ending = [...reading.values()];
      running?.abort();
      running = undefined;
      started = 0;
      isPaused = false;
      health.succeeded();
      await Promise.all(ending);
    },
  };
}
