import type { Job } from "../../core/ports/job-store.ts";
import type { WorkItems, WorkSummary } from "../../core/ports/work-items.ts";
import { isFinal } from "../../core/resubmit/jobs.ts";
import type { PlanProgress } from "../../core/resubmit/planner.ts";
import type { ResubmitRequest } from "../../core/resubmit/request.ts";
import { msToIso } from "../../core/text.ts";

export interface CountsView {
  indexed_count: number;
  fetched_count: number;
  deserialized_count: number;
  published_count: number;
  verified_count: number;
}

export function countsView({ counts }: WorkSummary): CountsView {
  return {
    indexed_count: counts.indexed,
    fetched_count: counts.fetched,
    deserialized_count: counts.deserialized,
    published_count: counts.published,
    verified_count: counts.verified,
  };
}

/** A job as the API shows it; the counts are summed from its items at this moment. */
export async function jobView(job: Job, items: WorkItems, nowMs: number) {
  const summary = await items.summarize(job.id);
  const request = job.request as ResubmitRequest;
  const seconds = Math.max(0.001, ((job.finishedAtMs ?? nowMs) - (job.startedAtMs ?? job.createdAtMs)) / 1000);
  const rate = summary.counts.published / seconds;
  const left = job.plannedCount - summary.counts.published - summary.failures;
  return {
    id: job.id,
    kind: job.kind,
    state: job.state,
    collection: job.collection,
    topic: job.topic,
    request: requestView(request),
    created_by: job.createdBy,
    created_at: msToIso(job.createdAtMs),
    started_at: timeView(job.startedAtMs),
    finished_at: timeView(job.finishedAtMs),
    summary: countsView(summary),
    plan_complete: job.planComplete,
    items: { planned: summary.planned + summary.leased, done: summary.done, failed: summary.failed },
    rate_per_second: Math.round(rate * 10) / 10,
    eta_seconds: isFinal(job) || !job.planComplete || rate === 0 ? null : Math.ceil(left / rate),
    late_arrivals_excluded_after: msToIso(job.upperBoundMs),
    error: job.error,
  };
}

function timeView(ms: number | null): string | null {
  return ms === null ? null : msToIso(ms);
}

const IDS_SHOWN = 100;

function requestView({ selection, offset, limit, ordered, rate, annotate }: ResubmitRequest) {
  const options = { offset, limit, ordered, rate, annotate };
  if (selection.kind === "ids") return { ids: selection.ids.slice(0, IDS_SHOWN), ids_count: selection.ids.length, ...options };
  if (selection.kind === "filter") return { ...(selection.body as object), ...options };
  const { brokerId, fromMs, toMs } = selection;
  return { broker_id: brokerId, lb: timeView(fromMs), ub: timeView(toMs), ...options };
}

/** Rebuilds and audits: what they counted stands in `progress`. */
export function maintenanceView(job: Job) {
  return {
    id: job.id,
    kind: job.kind,
    state: job.state,
    pipeline: (job.request as { pipeline: string }).pipeline,
    collection: job.collection,
    created_by: job.createdBy,
    created_at: msToIso(job.createdAtMs),
    finished_at: timeView(job.finishedAtMs),
    progress: job.progress,
    error: job.error,
  };
}

/** Ids that the index does not have, as the answer names them. */
export function indexerErrors(job: Job): { id: string; reason: string }[] {
  return (job.progress as PlanProgress).missing.map((id) => ({ id, reason: "not_found" }));
}
