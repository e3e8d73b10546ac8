import type { Clock } from "../clock.ts";
import { errorText, isRetryable } from "../errors.ts";
import type { TopicTarget } from "../pipeline.ts";
import type { Job } from "../ports/job-store.ts";
import type { Log } from "../ports/log.ts";
import type { Meter } from "../ports/meter.ts";
import type { ItemUpdate, WorkCounts, WorkItem, WorkItems } from "../ports/work-items.ts";
import { backOffMs } from "../retry.ts";
import { packEntries, unpackEntries } from "./entries.ts";
import { publishRows } from "./publish-rows.ts";
import type { ResubmitRequest } from "./request.ts";
import { type FetchDeps, fail, fetchRows, type Row, releaseRead } from "./rows.ts";

export interface WorkDeps extends FetchDeps {
  items: WorkItems;
  clock: Clock;
  meter: Meter;
  log: Log;
  destination(name: string): Promise<TopicTarget>;
  /** Ends the work early; what is left goes back to the queue. */
  signal: AbortSignal;
}

const MAX_ATTEMPTS = 8;
const BACK_OFF = { firstDelayMs: 250, maxDelayMs: 15_000 } as const;

/**
 * Works one leased item: reads its messages, checks each against its index record, publishes them, and writes down what became of each.
 * What may work later goes back to the queue with a growing delay; what cannot is named as failed. Throws IndexError where that cannot be written.
 */
export async function workItem(job: Job, item: WorkItem, deps: WorkDeps): Promise<void> {
  const request = job.request as ResubmitRequest;
  const rows = unpackEntries(item.entries).map(
    (entry): Row => ({ entry, state: "open", fetched: false, deserialized: false, verified: false }),
  );
  await fetchRows(rows, request, deps);
  let lastError: unknown;
  try {
    await publishRows(rows, job, item, await deps.destination(request.topic), deps);
  } catch (error) {
    lastError = error;
    failOpen(rows, error);
  }
  releaseRead(rows);
  await writeDown(rows, item, deps, lastError);
}

/** The destination could not be used at all: for good, or to be tried again. */
function failOpen(rows: readonly Row[], error: unknown): void {
  for (const row of rows) {
    if (row.state !== "open" || row.reason === "storage_error") continue;
    row.reason = "publish_error";
    row.detail = errorText(error);
    if (!isRetryable(error)) row.state = "failed";
  }
}

async function writeDown(rows: readonly Row[], item: WorkItem, deps: WorkDeps, lastError: unknown): Promise<void> {
  const aborted = deps.signal.aborted;
  // Leases that a killed process used up do not count as long as the item gets on.
  const isStuck = rows.every(({ state }) => state === "open");
  if (!aborted && isStuck && item.attempt >= MAX_ATTEMPTS) {
    for (const row of rows)
      if (row.state === "open") fail(row, row.reason ?? "publish_error", row.detail ?? "given up after repeated attempts");
  }
  const open = rows.filter(({ state }) => state === "open");
  const failed = rows.filter(({ state }) => state === "failed");
  const concluded = rows.filter(({ state }) => state !== "open");
  const nowMs = deps.clock.nowMs();
  const update: ItemUpdate = {
    state: open.length > 0 ? "planned" : failed.length > 0 || item.failures.length > 0 ? "failed" : "done",
    leaseUntilMs: 0,
    notBeforeMs: open.length === 0 || aborted ? 0 : nowMs + backOffMs(item.attempt, BACK_OFF),
    entries: packEntries(open.map(({ entry }) => entry)),
    counts: addCounts(item.counts, concluded),
    failures: [...item.failures, ...failed.map(failureOf)],
  };
  if (failed.length > 0) deps.meter.add("persistor.job.failed", failed.length, { reason: failed[0]?.reason ?? "publish_error" });
  if (open.length > 0 && !aborted) {
    deps.log.warn("a work item goes back to the queue", {
      job: item.jobId,
      item: item.number,
      left: open.length,
      reason: open[0]?.detail ?? errorText(lastError),
    });
  }
  await deps.items.update(item, update);
}

function failureOf({ entry, reason, detail }: Row): WorkItem["failures"][number] {
  return { id: entry.id, reason: reason ?? "publish_error", detail: detail ?? "", entry };
}

function addCounts(counts: WorkCounts, rows: readonly Row[]): WorkCounts {
  const count = (has: (row: Row) => boolean) => rows.reduce((sum, row) => sum + (has(row) ? 1 : 0), 0);
  return {
    indexed: counts.indexed,
    fetched: counts.fetched + count((row) => row.fetched),
    deserialized: counts.deserialized + count((row) => row.deserialized),
    published: counts.published + count((row) => row.state === "published"),
    verified: counts.verified + count((row) => row.verified && row.state === "published"),
  };
}
