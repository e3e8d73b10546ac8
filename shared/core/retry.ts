import type { Clock } from "./clock.ts";
import { isRetryable } from "./errors.ts";

export interface RetryOptions {
  /** Calls in all, the first included. */
  attempts: number;
  /** Wait before the second call; doubled for each further one. */
  firstDelayMs: number;
  maxDelayMs: number;
  signal?: AbortSignal;
}

/** The wait before call `attempt + 1`, in milliseconds: doubling from the first delay up to the cap. */
export function backOffMs(attempt: number, options: Pick<RetryOptions, "firstDelayMs" | "maxDelayMs">): number {
  return Math.min(options.maxDelayMs, options.firstDelayMs * 2 ** Math.min(30, attempt - 1));
}

/** Calls `work` until it succeeds, throws what is not retryable, or the attempts are used up; throws the last error. */
export async function retrying<T>(clock: Clock, options: RetryOptions, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt >= options.attempts || !isRetryable(error) || options.signal?.aborted) throw error;
      await clock.sleep(backOffMs(attempt, options), options.signal);
    }
  }
}
