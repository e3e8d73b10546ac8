import type { Held } from "./held.ts";
import type { Inflow } from "./inflow.ts";
import type { Leases } from "./leases.ts";

/** Looks after what is received while receives come, and gives it back when they stop. */
export interface Keeping {
  during<T>(work: () => Promise<T>): Promise<T>;
  /** Gives all back, and ends the looking; within seconds. */
  close(): Promise<void>;
}

/** What is received and not asked for is kept this long after the last receive. */
const KEEP_HELD_MS = 10_000;
const LOOK_EVERY_MS = 250;

export function createKeeping(inflow: Inflow, leases: Leases, held: Held): Keeping {
  let receivedAtMs = 0;
  let receiving = 0;
  let isClosing = false;
  let looking: NodeJS.Timeout | undefined;

  const letGo = async (): Promise<void> => {
    await inflow.stop();
    if (receiving === 0) await leases.giveBack(held.clear());
  };
  const look = () => {
    inflow.look();
    leases.look();
    if (isClosing || receiving > 0 || performance.now() - receivedAtMs < KEEP_HELD_MS) return;
    void letGo();
    if (inflow.isQuiet && leases.size === 0) stopLooking();
  };
  const stopLooking = () => {
    clearInterval(looking);
    looking = undefined;
  };
  return {
    async during(work) {
      receiving++;
      looking ??= setInterval(look, LOOK_EVERY_MS);
      inflow.start();
      try {
        return await work();
      } finally {
        receiving--;
        receivedAtMs = performance.now();
      }
    },
    async close() {
      isClosing = true;
      await inflow.stop();
      await leases.giveAllBack();
      await inflow.close();
      stopLooking();
    },
  };
}
