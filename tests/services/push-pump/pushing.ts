import { setTimeout as sleep } from "node:timers/promises";
import type { Held, HeldMessages } from "./held.ts";
import { NO_ANSWER } from "./poster.ts";
import type { PushWindow } from "./window.ts";

export interface PushPumpStats {
  pushed: number;
  acknowledged: number;
  /** Pushes that were not acknowledged: their messages are pushed again. */
  released: number;
  /** Answers by status; 0: none came. */
  statuses: Record<number, number>;
}

export interface PushingOptions {
  held: HeldMessages;
  pushWindow: PushWindow;
  minBackoffMs: number;
  maxBackoffMs: number;
  /** Resolves to the status of the answer. What it throws counts as no answer. */
  post(message: Held): Promise<number>;
  acknowledge(message: Held): void;
}

/** Pushes the messages that are held, as many at once as the window allows. */
export interface Pushing {
  readonly inFlight: number;
  readonly stats: PushPumpStats;
  /** Pushes what may be pushed: to be called when more is held. */
  go(): void;
  /** Pushes nothing more; resolves when the answers under way came, after `withinMs` at the latest. */
  stop(withinMs: number): Promise<void>;
}

/** Other statuses, and none, are no acknowledgement. The service takes 102 too, which no server gives as its last word. */
const ACKNOWLEDGING = new Set([200, 201, 202, 204]);
const POLL_MS = 10;

/** Pushes nothing yet. */
export function createPushing({ held, pushWindow, minBackoffMs, maxBackoffMs, post, acknowledge }: PushingOptions): Pushing {
  const stats: PushPumpStats = { pushed: 0, acknowledged: 0, released: 0, statuses: {} };
  let inFlight = 0;
  let isStopped = false;

  const go = () => {
    while (!isStopped && inFlight < pushWindow.size()) {
      const message = held.next();
      if (!message) return;
      void push(message);
    }
  };
  const push = async (message: Held) => {
    inFlight++;
    const startMs = performance.now();
    const status = await post(message).catch(() => NO_ANSWER);
    inFlight--;
    const isAcknowledged = ACKNOWLEDGING.has(status);
    pushWindow.note(isAcknowledged, performance.now() - startMs);
    stats.pushed++;
    stats[isAcknowledged ? "acknowledged" : "released"]++;
    stats.statuses[status] = (stats.statuses[status] ?? 0) + 1;
    if (isAcknowledged) {
      acknowledge(message);
      held.done(message);
    } else pushLater(message);
    go();
  };
  const pushLater = (message: Held) => {
    const pauseMs = Math.min(maxBackoffMs, minBackoffMs * 2 ** message.failures++);
    setTimeout(() => {
      held.again(message);
      go();
    }, pauseMs).unref();
  };
  return {
    get inFlight() {
      return inFlight;
    },
    stats,
    go,
    async stop(withinMs) {
      isStopped = true;
      const untilMs = Date.now() + withinMs;
      while (inFlight > 0 && Date.now() < untilMs) await sleep(POLL_MS);
    },
  };
}
