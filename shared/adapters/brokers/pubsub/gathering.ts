import type { ReceiveOptions } from "../../../core/ports/source.ts";
import { brokerErrorOf } from "./errors.ts";
import type { Health } from "./health.ts";
import type { Held, Taken } from "./held.ts";
import type { Waiters } from "./waiters.ts";

/** What a receive takes its deliveries from. */
export interface Supply {
  readonly subscription: string;
  readonly held: Held;
  readonly health: Health;
  readonly waiters: Waiters;
  isClosed(): boolean;
  /** Called after deliveries were taken. */
  afterTaking(): void;
}

/** A quarter of a lease: the rest is for what comes after gathering. */
const GATHER_AT_MOST_MS = 15_000;
/** A broker that is away may come back in a moment. */
const FAILING_AT_MOST_MS = 3_000;
const LOOK_EVERY_MS = 500;

/** Fills `taken` until nothing more fits or the time is over. Throws BrokerError where nothing came and nothing can. */
export async function gather(supply: Supply, taken: Taken, { maxWaitMs, signal }: ReceiveOptions): Promise<void> {
  const startedMs = performance.now();
  let endMs = startedMs + maxWaitMs;
  for (let hasWaited = false; !signal?.aborted && !supply.isClosed(); hasWaited = true) {
    const wasEmpty = taken.deliveries.length === 0;
    const hasRoom = supply.held.moveTo(taken);
    const isEmpty = taken.deliveries.length === 0;
    supply.afterTaking();
    const nowMs = performance.now();
    if (wasEmpty && !isEmpty) endMs = Math.min(endMs, nowMs + GATHER_AT_MOST_MS);
    // Even without time to wait, what has arrived by now is let in: a caller that asks again and again must not keep it out.
    const isOver = nowMs >= endMs && (hasWaited || !isEmpty);
    if (isEmpty) checkHealth(supply, startedMs, isOver);
    if (!hasRoom || isOver) return;
    await supply.waiters.wait(Math.max(0, Math.min(endMs - nowMs, LOOK_EVERY_MS)), signal);
  }
}

/** Throws what keeps deliveries from coming, once it is sure to: after another try that no waiting can help, after some seconds, or at the end. */
function checkHealth({ health, subscription }: Supply, startedMs: number, isOver: boolean): void {
  const failure = health.failure();
  if (!failure) return;
  const isHopeless = !failure.isTransient && failure.atMs >= startedMs;
  if (!isOver && !isHopeless && performance.now() - Math.max(failure.sinceMs, startedMs) < FAILING_AT_MOST_MS) return;
  throw brokerErrorOf(failure.error, { what: `receiving from ${subscription}`, role: "roles/pubsub.subscriber" });
}
