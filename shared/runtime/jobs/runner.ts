import { errorText } from "../../core/errors.ts";
import { type Job, OPEN_STATES } from "../../core/ports/job-store.ts";
import type { Composition } from "../compose.ts";
import { driveAny } from "./drive-any.ts";
import type { JobDriver } from "./driver.ts";

/** Drives the jobs of one process: those it is asked for, and in the background whatever is open. */
export interface JobRunner extends JobDriver {
  /** Starts driving the job, or joins who drives it already; resolves when it has ended or the runner stops. */
  drive(id: string): Promise<Job | undefined>;
  /** Takes up open jobs, also those that a killed process left, until the runner stops. */
  run(): Promise<void>;
  /** Gives back what is under way and resolves when nothing runs any more. */
  stop(): Promise<void>;
}

const SWEEP_MS = 1_000;
const JOBS_AT_ONCE = 4;

export function jobRunner(composition: Composition): JobRunner {
  const { jobs, clock, log } = composition;
  const stopping = new AbortController();
  const driven = new Map<string, Promise<Job | undefined>>();

  const drive = (id: string) => {
    const running = driven.get(id);
    if (running) return running;
    const started = driveAny(id, composition, stopping.signal).finally(() => driven.delete(id));
    driven.set(id, started);
    return started;
  };

  const sweep = async () => {
    const open = await jobs.list({ states: OPEN_STATES, limit: 100 });
    for (const { id } of open.reverse()) {
      if (driven.size >= JOBS_AT_ONCE) return;
      if (!driven.has(id))
        drive(id).catch((error) => log.error("driving a job failed; it is taken up again", { job: id, error: errorText(error) }));
    }
  };

  return {
    drive,
    async start(id) {
      drive(id).catch(() => undefined);
    },
    async work(id, limitMs, signal) {
      const driving = drive(id);
      // Who waits no longer leaves it to the sweeper to take up again what fails.
      driving.catch(() => undefined);
      const waited = new AbortController();
      const limit = clock.sleep(limitMs, AbortSignal.any([waited.signal, signal])).then(() => undefined);
      const job = await Promise.race([driving, limit]);
      waited.abort();
      return job;
    },
    async run() {
      while (!stopping.signal.aborted) {
        await sweep().catch((error) => log.error("looking for open jobs failed", { error: errorText(error) }));
        await clock.sleep(SWEEP_MS, stopping.signal);
      }
    },
    async stop() {
      stopping.abort();
      await Promise.allSettled(driven.values());
    },
  };
}
