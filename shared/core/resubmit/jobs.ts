import type { Clock } from "../clock.ts";
import { PersistorError } from "../errors.ts";
import { FINAL_STATES, type Job, type JobKind, type JobStore } from "../ports/job-store.ts";
import type { ItemUpdate, WorkCounts, WorkItem, WorkItems, WorkSummary } from "../ports/work-items.ts";
import { packEntries, type WorkEntry } from "./entries.ts";
import { NO_PROGRESS, type PlanProgress } from "./planner.ts";
import type { ResubmitRequest } from "./request.ts";

export interface JobDeps {
  jobs: JobStore;
  items: WorkItems;
  clock: Clock;
}

export interface NewJob {
  id: string;
  kind: JobKind;
  collection: string;
  topic: string;
  request: unknown;
  createdBy: string;
  upperBoundMs: number;
  idempotencyKey: string | null;
  requestHash: string | null;
  progress: unknown;
}

/** A new job, in the state from which its planner starts. */
export function newJob(spec: NewJob, nowMs: number): Job {
  return {
    ...spec,
    state: "planning",
    createdAtMs: nowMs,
    startedAtMs: nowMs,
    finishedAtMs: null,
    planComplete: false,
    cursor: null,
    nextItem: 0,
    plannedCount: 0,
    error: null,
    revision: 1,
  };
}

/** A resubmission's job; it takes what was published before now. */
export function newResubmitJob(
  request: ResubmitRequest,
  by: Pick<NewJob, "id" | "createdBy" | "idempotencyKey" | "requestHash">,
  nowMs: number,
): Job {
  const { collection, topic } = request;
  return newJob({ ...by, kind: "resubmit", collection, topic, request, upperBoundMs: nowMs + 1, progress: NO_PROGRESS }, nowMs);
}

export function isFinal(job: Job): boolean {
  return FINAL_STATES.includes(job.state);
}

/**
 * Brings a job to its end where nothing of it is open any more; returns the job as it stands then. Called after every item, by every read of
 * a job and by a sweeper, so a missed end is mended. Throws IndexError.
 */
export async function closeIfDone(id: string, { jobs, items, clock }: JobDeps): Promise<Job | undefined> {
  for (;;) {
    const job = await jobs.get(id);
    if (!job || isFinal(job) || job.kind !== "resubmit") return job;
    if (job.state !== "cancelling" && !job.planComplete) return job;
    const summary = await items.summarize(id);
    const isOpen = job.state === "cancelling" ? await hasLiveLease(id, items, clock) : summary.planned + summary.leased > 0;
    if (isOpen) return job;
    const state = job.state === "cancelling" ? "cancelled" : finalState(job, summary);
    const closed = await jobs.update({ ...job, state, finishedAtMs: clock.nowMs() });
    if (closed) return closed;
  }
}

async function hasLiveLease(id: string, items: WorkItems, clock: Clock): Promise<boolean> {
  const leased = await items.list(id, { states: ["leased"], limit: 100 });
  return leased.some(({ leaseUntilMs }) => leaseUntilMs > clock.nowMs());
}

function finalState(job: Job, summary: WorkSummary): Job["state"] {
  const { missingCount } = job.progress as PlanProgress;
  if (summary.failures === 0) return missingCount > 0 && summary.counts.published > 0 ? "partial" : "succeeded";
  return summary.counts.published > 0 ? "partial" : "failed";
}

/** Asks a job to stop; what is being published now still goes out. A job that has ended stays as it is. Throws IndexError. */
export async function cancelJob(id: string, deps: JobDeps): Promise<Job | undefined> {
  for (;;) {
    const job = await deps.jobs.get(id);
    if (!job || isFinal(job) || job.state === "cancelling") return job;
    const state = job.kind === "resubmit" ? "cancelling" : "cancelled";
    const stored = await deps.jobs.update({ ...job, state, finishedAtMs: state === "cancelled" ? deps.clock.nowMs() : null });
    if (stored) return (await closeIfDone(id, deps)) ?? stored;
  }
}

/**
 * Lets a job go on: a cancelled one where it was, and failed messages once more (`failedOnly`: nothing but those).
 * Throws PersistorError `refused` where there is nothing to resume.
 */
export async function resumeJob(id: string, failedOnly: boolean, deps: JobDeps): Promise<Job | undefined> {
  for (;;) {
    const job = await deps.jobs.get(id);
    if (!job) return undefined;
    if (!isFinal(job))
      throw new PersistorError("refused", `resuming job ${id}: it is ${job.state}; only a job that has ended can be resumed`);
    if (job.state === "succeeded")
      throw new PersistorError("refused", `resuming job ${id}: everything that matched went out; start a new job to send it again`);
    if (failedOnly) await dropOpenItems(id, deps.items);
    await reopenFailures(id, deps.items);
    const stored = await deps.jobs.update({
      ...job,
      state: job.planComplete || failedOnly ? "running" : "planning",
      planComplete: job.planComplete || failedOnly,
      finishedAtMs: null,
      error: null,
    });
    if (stored) return (await closeIfDone(id, deps)) ?? stored;
  }
}

const PAGE = 50;

async function* itemsOf(
  id: string,
  items: WorkItems,
  query: { withFailures?: boolean; states?: WorkItem["state"][] },
): AsyncGenerator<WorkItem> {
  let after: number | undefined;
  for (;;) {
    const page = await items.list(id, { ...query, after, limit: PAGE });
    yield* page;
    after = page.at(-1)?.number;
    if (page.length < PAGE) return;
  }
}

async function dropOpenItems(id: string, items: WorkItems): Promise<void> {
  for await (const item of itemsOf(id, items, { states: ["planned"] })) {
    await items.update(item, { ...updateOf(item), state: item.failures.length > 0 ? "failed" : "cancelled" });
  }
}

async function reopenFailures(id: string, items: WorkItems): Promise<void> {
  for await (const item of itemsOf(id, items, { withFailures: true, states: ["failed"] })) {
    const entries = packEntries(item.failures.map(({ entry }) => entry as WorkEntry));
    await items.update(item, { ...updateOf(item), state: "planned", entries, failures: [], counts: countsWithout(item) });
  }
}

function updateOf({ state, leaseUntilMs, entries, counts, failures }: WorkItem): ItemUpdate {
  return { state, leaseUntilMs, notBeforeMs: 0, entries, counts, failures };
}

/** A failed message counted up to the step at which it failed; tried again, it counts anew. */
function countsWithout({ counts, failures }: WorkItem): WorkCounts {
  const failedAfterReading = failures.filter(({ reason }) => reason !== "storage_error" && reason !== "deserialization_error").length;
  const failedInReading = failures.filter(({ reason }) => reason === "deserialization_error").length;
  return {
    ...counts,
    fetched: counts.fetched - failedAfterReading - failedInReading,
    deserialized: counts.deserialized - failedAfterReading,
  };
}

/** The first failed messages behind `after`, in the order of the work items. */
export async function failuresOf(id: string, after: { item: number; row: number } | null, limit: number, items: WorkItems) {
  const failures: { id: string; reason: string; detail: string }[] = [];
  let page: WorkItem[];
  let from = after ?? { item: -1, row: -1 };
  let itemAfter = from.item - 1;
  do {
    page = await items.list(id, { withFailures: true, after: itemAfter, limit: PAGE });
    for (const item of page) {
      for (const [row, { id: message, reason, detail }] of item.failures.entries()) {
        if (item.number === from.item && row <= from.row) continue;
        if (failures.length === limit) return { failures, next: from };
        failures.push({ id: message, reason, detail });
        from = { item: item.number, row };
      }
      itemAfter = item.number;
    }
  } while (page.length === PAGE);
  return { failures, next: null };
}
