import { setTimeout as sleep } from "node:timers/promises";

/** Waits before the further tries, in milliseconds. The caller repeats failed calls too, and longer: here only what is over at once is bridged. */
const DELAYS_MS = [200, 800];

/** Runs `work` up to three times, as long as it fails by what `isTransient` says may be over a moment later; throws the last error. */
export async function repeating<T>(isTransient: (error: unknown) => boolean, work: () => Promise<T>): Promise<T> {
  for (const delayMs of DELAYS_MS) {
    try {
      return await work();
    } catch (error) {
      if (!isTransient(error)) throw error;
    }
    // Spread, so that writers that failed together do not come again together.
    await sleep(delayMs * (0.5 + Math.random()));
  }
  return work();
}
