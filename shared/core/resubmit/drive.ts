import { errorText, isRetryable } from "../errors.ts";
import type { Job } from "../ports/job-store.ts";
import type { MetadataIndex } from "../ports/metadata-index.ts";
import { closeIfDone, isFinal, type JobDeps } from "./jobs.ts";
import { planStep } from "./planner.ts";
import { ITEM_LEASE_MS } from "./publish-rows.ts";
import { type WorkDeps, workItem } from "./work.ts";

export interface DriveDeps extends JobDeps, Omit<WorkDeps, "signal" | "items" | "clock"> {
  index: MetadataIndex;
}

const WORKERS = 3;
/** The planner stays this many items ahead of the workers, so that a job of any size takes bounded room. */
const ITEMS_AHEAD = 24;
/** Longest wait for work; whoever plans or ends the job in this process wakes those who wait. */
const IDLE_MS = 500;
/** How often a planner that is far enough ahead looks whether it still is. */
const AHEAD_MS = 50;
const BUSY_ELSEWHERE_MS = 500;
const WATCH_MS = 250;

/**
 * Plans and works one job until it has ended or `signal` aborts; any number of processes may drive the same job.
 * Returns the job as it stands. Throws IndexError where the job store fails for longer than its retries.
 */
export async function driveJob(id: string, signal: AbortSignal, deps: DriveDeps): Promise<Job | undefined> {
  const stop = new AbortController();
  const stopped = AbortSignal.any([signal, stop.signal]);
  const bell = newBell();
  const parts = [plan(id, stopped, bell, deps), ...Array.from({ length: WORKERS }, () => work(id, stopped, bell, deps))];
  const watch = watchForCancel(id, stop, stopped, deps);
  try {
    await Promise.all(parts);
  } finally {
    stop.abort();
    await Promise.allSettled([...parts, watch]);
  }
  return closeIfDone(id, deps);
}

/** A cancellation, also by another process, stops what is under way between two publishes. */
async function watchForCancel(id: string, stop: AbortController, signal: AbortSignal, { jobs, clock }: DriveDeps): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(WATCH_MS, signal);
    const job = await jobs.get(id);
    if (!job || job.state === "cancelling" || isFinal(job)) stop.abort();
  }
}

async function plan(id: string, signal: AbortSignal, bell: Bell, deps: DriveDeps): Promise<void> {
  while (!signal.aborted) {
    const job = await deps.jobs.get(id);
    if (!job || isFinal(job) || job.planComplete || job.state === "cancelling") return;
    const { planned } = job.nextItem < ITEMS_AHEAD ? { planned: 0 } : await deps.items.summarize(id);
    if (planned >= ITEMS_AHEAD) {
      await deps.clock.sleep(AHEAD_MS, signal);
      continue;
    }
    try {
      await planStep(job, deps.index, deps.jobs);
      bell.ring();
    } catch (error) {
      if (!isRetryable(error)) return failJob(job, error, deps);
      deps.log.warn("planning a job: trying again", { job: id, error: errorText(error) });
      await deps.clock.sleep(BUSY_ELSEWHERE_MS, signal);
    }
  }
}

async function failJob(job: Job, error: unknown, deps: DriveDeps): Promise<void> {
  deps.log.error("planning a job: given up", { job: job.id, error: errorText(error) });
  await deps.jobs.update({ ...job, state: "failed", error: errorText(error), finishedAtMs: deps.clock.nowMs() });
}

async function work(id: string, signal: AbortSignal, bell: Bell, deps: DriveDeps): Promise<void> {
  while (!signal.aborted) {
    const job = await deps.jobs.get(id);
    if (!job || isFinal(job)) return;
    const item =
      job.state === "cancelling" ? undefined : await deps.items.lease({ jobId: id, nowMs: deps.clock.nowMs(), leaseMs: ITEM_LEASE_MS });
    if (item) {
      await workItem(job, item, { ...deps, signal });
      continue;
    }
    const closed = await closeIfDone(id, deps);
    if (!closed || isFinal(closed)) return bell.ring();
    await deps.clock.sleep(IDLE_MS, AbortSignal.any([signal, bell.next()]));
  }
}

/** Tells idle workers that there is something to do. */
interface Bell {
  ring(): void;
  /** Aborts at the next ring. */
  next(): AbortSignal;
}

function newBell(): Bell {
  let ringing = new AbortController();
  return {
    ring() {
      ringing.abort();
      ringing = new AbortController();
    },
    next: () => ringing.signal,
  };
}
