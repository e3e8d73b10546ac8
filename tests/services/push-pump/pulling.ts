import { setTimeout as sleep } from "node:timers/promises";
import type { HeldMessages } from "./held.ts";
import type { PulledSubscription } from "./subscription.ts";

export interface PullingOptions {
  subscription: PulledSubscription;
  held: HeldMessages;
  /** Pulls no more while so many are held. */
  maxHeld: number;
  /** Called when more is held. */
  onArrival(): void;
}

/** Pulls messages, and keeps the leases of those that are held. */
export interface Pulling {
  /** When messages came last, in milliseconds since 1970; before any came: when it began. */
  readonly lastArrivalMs: number;
  stop(): Promise<void>;
}

/** The emulator gives 100 messages a pull, and a single puller spends its time waiting for answers. */
const PULLS_AT_ONCE = 4;
const POLL_MS = 10;

/** Begins to pull. */
export function startPulling({ subscription, held, maxHeld, onArrival }: PullingOptions): Pulling {
  const stopping = new AbortController();
  const { signal } = stopping;
  let lastArrivalMs = Date.now();
  let isDry = false;

  // While nothing waits, the first one alone asks.
  const pullOn = async (_: unknown, position: number) => {
    while (!signal.aborted) {
      if (held.size >= maxHeld || (isDry && position > 0)) {
        await sleep(POLL_MS);
        continue;
      }
      // Whatever the emulator has: it may come back.
      const received = await subscription.pull().catch(() => []);
      for (const message of received) held.take(message);
      isDry = received.length === 0;
      if (isDry) {
        await sleep(POLL_MS);
      } else {
        lastArrivalMs = Date.now();
        onArrival();
      }
    }
  };
  const keepLeases = async () => {
    while (!signal.aborted) {
      await sleep((subscription.leaseS * 1000) / 3, undefined, { signal }).catch(() => undefined);
      if (!signal.aborted) await subscription.lease(held.ackIds(), subscription.leaseS);
    }
  };
  const running = [...Array.from({ length: PULLS_AT_ONCE }, pullOn), keepLeases()];
  return {
    get lastArrivalMs() {
      return lastArrivalMs;
    },
    async stop() {
      stopping.abort();
      await Promise.all(running);
    },
  };
}
