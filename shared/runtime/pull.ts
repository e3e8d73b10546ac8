import type { Clock } from "../core/clock.ts";
import { contentSize } from "../core/message.ts";
import type { Log } from "../core/ports/log.ts";
import type { Meter } from "../core/ports/meter.ts";
import type { Delivery, ReceiveOptions, Source } from "../core/ports/source.ts";
import type { SourceState } from "./source-states.ts";
import { handleUnderLease } from "./under-lease.ts";

export interface PullOptions {
  source: Source;
  receive: Omit<ReceiveOptions, "signal">;
  /** Handles and settles one batch. */
  handle(deliveries: readonly Delivery[]): Promise<unknown>;
  /** Batches handled at once. */
  batchesInFlight: number;
  clock: Clock;
  log: Log;
  /** Where it is noted whether receiving works. */
  state: SourceState;
  meter: Meter;
  signal: AbortSignal;
  /**
   * Ends behind the first batch that is `nearly-empty`, or `empty`, after its whole wait, and throws what receiving throws. `nearly-empty`: what
   * waited has come then, and what comes now is worth a batch later; `empty`: for a source that is slow with whatever it has. Default: goes on until
   * `signal` aborts.
   */
  until?: DrainedWhen;
}

export type DrainedWhen = "nearly-empty" | "empty";

const FAILURE_WAIT_MS = 1_000;
/** Of a full batch. A slow source may have much more, and yet not fill a batch in its time. */
const NEARLY_EMPTY = 0.1;

/** Pulls batches and hands them over until `signal` aborts, then waits for those under way. Failures are logged and waited out. */
export async function pull(options: PullOptions): Promise<void> {
  const { source, clock, state, signal, until } = options;
  const running = new Set<Promise<void>>();
  try {
    // What a source has to do before its first message, such as joining a group, is no waiting for messages.
    if (until) await source.receive({ ...options.receive, maxMessages: 0, signal });
    while (!signal.aborted) {
      if (running.size >= options.batchesInFlight) {
        await Promise.race(running);
        continue;
      }
      try {
        const startedMs = clock.nowMs();
        const deliveries = await source.receive({ ...options.receive, signal });
        state.succeeded();
        const hasWaited = clock.nowMs() - startedMs >= options.receive.maxWaitMs;
        const isDrained = hasWaited && (until === "empty" ? deliveries.length === 0 : until && isNearlyEmpty(deliveries, options.receive));
        if (deliveries.length > 0) {
          const handled = handleUnderLease(deliveries, source, options.handle, options).finally(() => running.delete(handled));
          running.add(handled);
        }
        if (isDrained) return;
      } catch (error) {
        if (until) throw error;
        state.failed(error);
        await clock.sleep(FAILURE_WAIT_MS, signal);
      }
    }
  } finally {
    await Promise.all(running);
  }
}

function isNearlyEmpty(deliveries: readonly Delivery[], { maxMessages, maxBytes }: PullOptions["receive"]): boolean {
  if (deliveries.length > maxMessages * NEARLY_EMPTY) return false;
  return deliveries.reduce((sum, { message }) => sum + contentSize(message), 0) <= maxBytes * NEARLY_EMPTY;
}
