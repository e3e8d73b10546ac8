import { PersistorError } from "../../core/errors.ts";
import type { Job } from "../../core/ports/job-store.ts";
import { failuresOf, isFinal, newResubmitJob } from "../../core/resubmit/jobs.ts";
import { dryRun } from "../../core/resubmit/planner.ts";
import type { ResubmitRequest } from "../../core/resubmit/request.ts";
import { msToIso } from "../../core/text.ts";
import type { Composition } from "../compose.ts";
import type { JobDriver } from "../jobs/driver.ts";
import { type CountsView, countsView, indexerErrors } from "../jobs/views.ts";

/** Who asks, and how the answer is wanted. */
export interface SubmitOptions {
  createdBy: string;
  newId(): string;
  /** Caller, method, path and key; null without one. */
  idempotencyKey: string | null;
  requestHash: string;
  /** Answer with the job at once. */
  respondAsync: boolean;
  signal: AbortSignal;
}

export interface ResubmitAnswer {
  status: number;
  msg: string;
  job: string;
  summary: CountsView;
  errors: { indexer_errors: { id: string; reason: string }[]; pipeline_errors: { id: string; reason: string }[] };
}

export type Submitted = { kind: "accepted"; job: string } | { kind: "answered"; answer: ResubmitAnswer } | { kind: "key_reused" };

/** A synchronous request is answered with its job after this time. */
const SYNC_LIMIT_MS = 25_000;
const ERRORS_SHOWN = 1_000;

/** Makes the request's job, or finds the one that its idempotency key made, and waits for its end as long as a request may. Throws IndexError. */
export async function submit(
  request: ResubmitRequest,
  options: SubmitOptions,
  composition: Composition,
  driver: JobDriver,
): Promise<Submitted> {
  const { jobs, clock } = composition;
  const { createdBy, idempotencyKey, requestHash } = options;
  const made = newResubmitJob(request, { id: options.newId(), createdBy, idempotencyKey, requestHash }, clock.nowMs());
  const job = await jobs.insert(made);
  if (job.requestHash !== requestHash) return { kind: "key_reused" };
  if (isFinal(job)) return { kind: "answered", answer: await answerOf(job, composition) };
  if (options.respondAsync || job.id !== made.id) {
    await driver.start(job.id);
    return { kind: "accepted", job: job.id };
  }
  const ended = await driver.work(job.id, SYNC_LIMIT_MS, options.signal);
  if (!ended || !isFinal(ended)) return { kind: "accepted", job: job.id };
  return { kind: "answered", answer: await answerOf(ended, composition) };
}

/** The answer of a job that has ended. Throws IndexError. */
export async function answerOf(job: Job, { items }: Composition): Promise<ResubmitAnswer> {
  if (job.error) throw new PersistorError("index_unavailable", `planning the resubmission: ${job.error}`, { retryable: true });
  const summary = await items.summarize(job.id);
  const { failures } = await failuresOf(job.id, null, ERRORS_SHOWN, items);
  const missing = indexerErrors(job);
  const failed = summary.failures + (summary.counts.indexed > 0 ? missing.length : 0);
  const status = failed === 0 ? 200 : summary.counts.published === 0 ? 400 : 206;
  return {
    status,
    msg: messageOf(job, status),
    job: job.id,
    summary: countsView(summary),
    errors: { indexer_errors: missing, pipeline_errors: failures.map(({ id, reason }) => ({ id, reason })) },
  };
}

function messageOf(job: Job, status: number): string {
  if (job.state === "cancelled") return "the job was cancelled";
  if (status === 400) return "everything that matched failed";
  if (status === 206) return "some messages could not be resubmitted";
  return job.plannedCount === 0 ? "nothing matched" : "all that matched were resubmitted";
}

/** What would be sent, as the API shows it. Throws IndexError. */
export async function dryRunAnswer(request: ResubmitRequest, { index, clock }: Composition) {
  const { first_publish_time, last_publish_time, ...sums } = await dryRun(request, clock.nowMs() + 1, index);
  const time = (ms: number | null) => (ms === null ? null : msToIso(ms));
  return { ...sums, first_publish_time: time(first_publish_time), last_publish_time: time(last_publish_time) };
}
