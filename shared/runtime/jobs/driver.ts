import type { Job } from "../../core/ports/job-store.ts";

/** Who works the jobs that the APIs make. */
export interface JobDriver {
  /** Lets the job go on without the caller; resolves when that is certain. Throws BrokerError where jobs are handed over and cannot be. */
  start(id: string): Promise<void>;
  /**
   * Works the job for at most `limitMs` and as long as `signal` lets it; what is left then goes on as after `start`.
   * Returns the job where it has ended by then. Throws IndexError, BrokerError.
   */
  work(id: string, limitMs: number, signal: AbortSignal): Promise<Job | undefined>;
}
