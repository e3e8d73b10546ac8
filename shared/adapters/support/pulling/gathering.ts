import type { BrokerError } from "../../../core/errors.ts";
import type { Delivery, ReceiveOptions } from "../../../core/ports/source.ts";
import type { Failure } from "./health.ts";
import type { Waiters } from "./waiters.ts";

/** What one receive is going to hand over. */
export interface Taken {
  readonly deliveries: Delivery[];
  bytes: number;
  readonly maxMessages: number;
  readonly maxBytes: number;
}

/** What a receive takes its deliveries from. */
export interface Supply {
  readonly waiters: Waiters;
  /** Longest time from the first delivery to the end of the gathering. */
  readonly gatherAtMostMs: number;
  /** Moves what there is to `taken` within what is left of its limits; one more is taken where `taken` is empty. Returns false once no more fits. */
  moveTo(taken: Taken): boolean;
  /** When, by `performance.now()`, there may be more although nobody wakes the waiters. */
  nextLookMs(): number;
  /** Why no deliveries can come; undefined where they can. */
  failure(): Failure | undefined;
  /** What a receive throws because of that. */
  errorOf(failure: Failure): BrokerError;
  isClosed(): boolean;
}

/** A broker that is away may come back in a moment. */
const FAILING_AT_MOST_MS = 3_000;
const LOOK_EVERY_MS = 500;

/** Fills a receive until nothing more fits or the time is over. Throws BrokerError where nothing came and nothing can. */
export async function gather(supply: Supply, options: ReceiveOptions): Promise<Delivery[]> {
  const { maxMessages, maxBytes, maxWaitMs, signal } = options;
  const taken: Taken = { deliveries: [], bytes: 0, maxMessages, maxBytes };
  const startedMs = performance.now();
  let endMs = startedMs + maxWaitMs;
  for (let hasWaited = false; !signal?.aborted && !supply.isClosed(); hasWaited = true) {
    const wasEmpty = taken.deliveries.length === 0;
    const hasRoom = supply.moveTo(taken);
    const isEmpty = taken.deliveries.length === 0;
    const nowMs = performance.now();
    if (wasEmpty && !isEmpty) endMs = Math.min(endMs, nowMs + supply.gatherAtMostMs);
    // Even without time to wait, what has arrived by now is let in: a caller that asks again and again must not keep it out.
    const isOver = nowMs >= endMs && (hasWaited || !isEmpty);
    if (isEmpty) checkHealth(supply, startedMs, isOver);
    if (!hasRoom || isOver) break;
    await supply.waiters.wait(Math.max(0, Math.min(endMs, supply.nextLookMs(), nowMs + LOOK_EVERY_MS) - nowMs), signal);
  }
  return taken.deliveries;
}

/** Throws what keeps deliveries from coming, once it is sure to: after another try that no waiting can help, after some seconds, or at the end. */
function checkHealth(supply: Supply, startedMs: number, isOver: boolean): void {
  const failure = supply.failure();
  if (!failure) return;
  const isHopeless = !failure.isTransient && failure.atMs >= startedMs;
  if (!isOver && !isHopeless && performance.now() - Math.max(failure.sinceMs, startedMs) < FAILING_AT_MOST_MS) return;
  throw supply.errorOf(failure);
}
