import { setTimeout as sleep } from "node:timers/promises";
import { wrappedForm } from "./push-pump/form.ts";
import { createHeldMessages, type Held } from "./push-pump/held.ts";
import { createPoster } from "./push-pump/poster.ts";
import { startPulling } from "./push-pump/pulling.ts";
import { createPushing, type PushPumpStats } from "./push-pump/pushing.ts";
import { openSubscription, type SubscriptionOptions } from "./push-pump/subscription.ts";
import { adaptiveWindow, fixedWindow } from "./push-pump/window.ts";

export interface PushPumpOptions extends SubscriptionOptions {
  /** An `http:` URL that is posted to. */
  endpoint: string;
  /** Gives the bearer token of each push. Default: none is sent. */
  token?: () => string | Promise<string>;
  /** Pushes in flight at once. */
  concurrency: number;
  /** Begins with few pushes at once and widens while answers are good and quick, up to `concurrency`. Default false. */
  adaptive?: boolean;
  /** Milliseconds until a message that was not acknowledged is pushed again: doubles from `minBackoffMs` (100) up to `maxBackoffMs` (60,000). */
  minBackoffMs?: number;
  maxBackoffMs?: number;
}

/** Stands in for Pub/Sub's push. */
export interface PushPump {
  stats(): PushPumpStats;
  /** Resolves when nothing is in flight, nothing waits, and nothing came for `quietMs` (2,000). */
  idle(quietMs?: number): Promise<void>;
  /** Waits for the answers under way, gives back what is held, and disconnects. */
  stop(): Promise<void>;
}

/** Several pulls ahead of the pushes. */
const MIN_HELD = 4_000;
const POLL_MS = 10;
/** How long `stop` waits for the answers under way. */
const ANSWERS_WITHIN_MS = 5_000;
const MIN_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 60_000;

/**
 * Pushes what a pull subscription of the emulator gets, as Pub/Sub pushes it: many at once, in the wrapped form, with a token, again after
 * a pause where it was not acknowledged. The emulator's own push has one request in flight at most.
 *
 * A message keeps its lease while it waits for its next push: a dead-letter policy of the emulator does not count these pushes.
 * Pull from subscriptions without ordering where speed matters: from others the emulator gives a tenth.
 */
export async function startPushPump(options: PushPumpOptions): Promise<PushPump> {
  const { endpoint, concurrency, token, minBackoffMs = MIN_BACKOFF_MS, maxBackoffMs = MAX_BACKOFF_MS } = options;
  const subscription = await openSubscription(options);
  // The service waits for an answer as long as a lease lasts.
  const poster = createPoster({ endpoint, concurrency, answerWithinMs: subscription.leaseS * 1000 });
  const held = createHeldMessages();
  const pushing = createPushing({
    held,
    pushWindow: options.adaptive ? adaptiveWindow(concurrency) : fixedWindow(concurrency),
    minBackoffMs,
    maxBackoffMs,
    post: async (message) => poster.post(bodyOf(message, subscription.name), await token?.()),
    acknowledge: ({ ackId }) => subscription.acknowledge(ackId),
  });
  const maxHeld = Math.max(MIN_HELD, 4 * concurrency);
  const pulling = startPulling({ subscription, held, maxHeld, onArrival: pushing.go });
  return {
    stats: () => structuredClone(pushing.stats),
    async idle(quietMs = 2_000) {
      while (held.size > 0 || pushing.inFlight > 0 || Date.now() - pulling.lastArrivalMs < quietMs) await sleep(POLL_MS);
      await subscription.flush();
    },
    async stop() {
      await Promise.all([pushing.stop(ANSWERS_WITHIN_MS), pulling.stop()]);
      poster.close();
      await subscription.flush();
      await subscription.lease(held.ackIds(), 0);
      await subscription.close();
    },
  };
}

function bodyOf({ received, failures }: Held, subscription: string): string {
  // 0 where the subscription has no dead-letter policy.
  const { deliveryAttempt } = received;
  return wrappedForm(received, subscription, deliveryAttempt ? deliveryAttempt + failures : undefined);
}
