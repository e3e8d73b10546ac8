import { setTimeout as sleep } from "node:timers/promises";

/** Waits no longer than `limitMs`: promises of the client library can stay open for ever. Throws then, naming what was waited for. */
export async function within<T>(limitMs: number, doing: string, work: Promise<T>): Promise<T> {
  const done = new AbortController();
  const late = sleep(limitMs, undefined, { signal: done.signal }).then(() => {
    throw new Error(`${doing}: not done within ${Math.round(limitMs / 1000)} s`);
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    done.abort();
  }
}

const START_MS = 30_000;
/** Far below what is expected on any machine. */
const LEAST_RATE = 1_000;

/** The longest that anything may take with so many messages. */
export function limitMsOf(count: number): number {
  return START_MS + (count / LEAST_RATE) * 1000;
}
