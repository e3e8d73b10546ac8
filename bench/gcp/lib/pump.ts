import { setTimeout as sleep } from "node:timers/promises";
import { type PushPumpOptions, startPushPump } from "../../../tests/services/push-pump.ts";
import type { Measure } from "../../lib/child.ts";

/** Push what waits in a subscription until `count` pushes were acknowledged. */
export interface PumpOrder extends Omit<PushPumpOptions, "token"> {
  token: string;
  count: number;
}

export interface Pumped {
  /** From the first pull until the last acknowledgement. */
  ms: number;
  /** Pushes that were not acknowledged, and made again. */
  released: number;
}

const LOOK_EVERY_MS = 5;
const TELL_EVERY_MS = 2_000;
const STUCK_AFTER_MS = 60_000;

/** Pushes, in a process of its own. */
export const measure: Measure<PumpOrder, Pumped> = async ({ token, count, ...options }, progress) => {
  const pump = await startPushPump({ ...options, token: () => token });
  const startMs = performance.now();
  let seen = 0;
  let changedMs = startMs;
  let toldMs = startMs;
  for (;;) {
    const { acknowledged, statuses } = pump.stats();
    const nowMs = performance.now();
    if (acknowledged !== seen) changedMs = nowMs;
    seen = acknowledged;
    if (seen >= count) break;
    if (nowMs - changedMs > STUCK_AFTER_MS)
      throw new Error(`pushing: ${seen} of ${count} acknowledged, answers ${JSON.stringify(statuses)}`);
    if (nowMs - toldMs > TELL_EVERY_MS) {
      toldMs = nowMs;
      progress(`pushing to ${new URL(options.endpoint).pathname}: ${seen} of ${count}`);
    }
    await sleep(LOOK_EVERY_MS);
  }
  const ms = performance.now() - startMs;
  const { released } = pump.stats();
  await pump.stop();
  return { ms, released };
};
