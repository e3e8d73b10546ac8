import { setTimeout as sleep } from "node:timers/promises";

/** Waits for `work`, but no longer than `ms`. True where it ended well by then; what it comes to later is not looked at. */
export async function endsWithin(ms: number, work: Promise<unknown>): Promise<boolean> {
  const timer = new AbortController();
  const late = sleep(ms, false, { signal: timer.signal }).catch(() => false);
  const ended = work.then(
    () => true,
    () => false,
  );
  try {
    return await Promise.race([ended, late]);
  } finally {
    timer.abort();
  }
}
