import { IndexError } from "../errors.ts";
import { compareRecords, positionOf } from "../filter/order.ts";
import type { IndexRecord } from "../index-record.ts";
import type { Job, JobStore } from "../ports/job-store.ts";
import type { IndexPosition, MetadataIndex } from "../ports/metadata-index.ts";
import type { WorkItem } from "../ports/work-items.ts";
import { entryOf, packEntries } from "./entries.ts";
import { filterOf, type ResubmitRequest } from "./request.ts";
import { cutWindow, groupByObject, splitRuns } from "./windows.ts";

/** What the planner keeps with its job. */
export interface PlanProgress {
  /** Ids asked for that the index does not have: their number, and the first of them. */
  missingCount: number;
  missing: string[];
}

export const NO_PROGRESS: PlanProgress = { missingCount: 0, missing: [] };

/** The first windows are small, so that the first message is out soon. */
const FIRST_WINDOW = 500;
const WINDOW_GROWTH = 4;
/** Somewhat more than an object of the default size, so that every window holds the end of one. */
const WINDOW = 6_000;
const ITEM_ENTRIES = 5_000;
/** An ordered or paced item is worked alone, so it is kept short: a paced one to some ten seconds. */
const LANE_ITEM_ENTRIES = 1_000;
const PACED_ITEM_SECONDS = 10;
/** Payload of one item is held in memory at once while it is worked. */
const ITEM_BYTES = 4_000_000;
const IDS_PER_LOOKUP = 5_000;
const MISSING_KEPT = 1_000;

/**
 * Plans the next window of a job: its items and its new cursor are committed together. Returns the job as stored, or undefined where another
 * planner or a cancellation was faster. Throws IndexError.
 */
export async function planStep(job: Job, index: MetadataIndex, jobs: JobStore): Promise<Job | undefined> {
  const request = job.request as ResubmitRequest;
  return request.selection.kind === "ids"
    ? planIds(job, request, request.selection.ids, index, jobs)
    : planWindow(job, request, index, jobs);
}

async function planWindow(job: Job, request: ResubmitRequest, index: MetadataIndex, jobs: JobStore): Promise<Job | undefined> {
  const order = request.ordered ? "source" : "publish";
  const left = request.limit === null ? Number.POSITIVE_INFINITY : request.limit - job.plannedCount;
  const limit = Math.min(left, WINDOW, Math.max(FIRST_WINDOW, WINDOW_GROWTH * job.plannedCount));
  const found =
    limit <= 0
      ? []
      : await index.find(job.collection, {
          filter: filterOf(request.selection, job.upperBoundMs),
          order,
          withoutAttributes: true,
          after: (job.cursor as IndexPosition | null) ?? undefined,
          offset: job.cursor === null ? request.offset : 0,
          limit,
        });
  const isLast = found.length < limit || found.length === left;
  const records = found.slice(0, request.ordered ? found.length : cutWindow(found, isLast));
  const last = records.at(-1);
  return commit(job, records, jobs, {
    cursor: last ? positionOf(last, order) : job.cursor,
    planComplete: isLast,
    progress: job.progress,
  });
}

/** Ids come in one body of at most a megabyte, so they are planned in one step. */
async function planIds(
  job: Job,
  request: ResubmitRequest,
  ids: readonly string[],
  index: MetadataIndex,
  jobs: JobStore,
): Promise<Job | undefined> {
  const found = await lookUp(ids, job.collection, index);
  const known = new Set(found.map(({ unique_id }) => unique_id));
  const missing = [...new Set(ids)].filter((id) => !known.has(id));
  const order = request.ordered ? "source" : "publish";
  const end = request.limit === null ? undefined : request.offset + request.limit;
  const records = found.sort((a, b) => compareRecords(a, b, order)).slice(request.offset, end);
  const progress: PlanProgress = { missingCount: missing.length, missing: missing.slice(0, MISSING_KEPT) };
  return commit(job, records, jobs, { cursor: null, planComplete: true, progress });
}

async function lookUp(ids: readonly string[], collection: string, index: MetadataIndex): Promise<IndexRecord[]> {
  const wanted = [...new Set(ids)];
  const found: IndexRecord[] = [];
  for (let from = 0; from < wanted.length; from += IDS_PER_LOOKUP) {
    found.push(...(await index.get(collection, wanted.slice(from, from + IDS_PER_LOOKUP))));
  }
  return found;
}

type PlanEnd = Pick<Job, "cursor" | "planComplete" | "progress">;

function commit(job: Job, records: readonly IndexRecord[], jobs: JobStore, end: PlanEnd): Promise<Job | undefined> {
  const { ordered, rate } = job.request as ResubmitRequest;
  const lane = ordered ? "ordered" : rate === null ? null : "paced";
  const paced = rate === null ? Number.POSITIVE_INFINITY : Math.max(1, Math.ceil(rate * PACED_ITEM_SECONDS));
  const maxEntries = Math.min(lane === null ? ITEM_ENTRIES : LANE_ITEM_ENTRIES, paced);
  const runs = splitRuns(ordered ? records : groupByObject(records), maxEntries, ITEM_BYTES);
  const items = runs.map((run, i) => newItem(job, job.nextItem + i, lane, run));
  return jobs.update(
    { ...job, ...end, state: "running", nextItem: job.nextItem + items.length, plannedCount: job.plannedCount + records.length },
    items,
  );
}

function newItem(job: Job, number: number, lane: string | null, records: readonly IndexRecord[]): WorkItem {
  return {
    jobId: job.id,
    number,
    lane,
    state: "planned",
    attempt: 0,
    leaseUntilMs: 0,
    notBeforeMs: 0,
    entries: packEntries(records.map(entryOf)),
    counts: { indexed: records.length, fetched: 0, deserialized: 0, published: 0, verified: 0 },
    failures: [],
  };
}

/** What a dry run answers: what would be sent, without a job. Throws IndexError. */
export interface DryRun {
  matched_count: number;
  payload_bytes: number;
  first_publish_time: number | null;
  last_publish_time: number | null;
  objects: number;
}

/** Sums up what a request matches; nothing is published. With offset or limit the matches are walked. Throws IndexError. */
export async function dryRun(request: ResubmitRequest, upperBoundMs: number, index: MetadataIndex): Promise<DryRun> {
  const filter = filterOf(request.selection, upperBoundMs);
  if (request.selection.kind !== "ids" && request.offset === 0 && request.limit === null) {
    const [summary] = await index.summarize(request.collection, filter);
    if (!summary)
      throw new IndexError("index_unavailable", "summing up a dry run: the index gave no answer; try again", { retryable: true });
    return {
      matched_count: summary.count,
      payload_bytes: summary.bytes,
      first_publish_time: summary.first_publish_time ?? null,
      last_publish_time: summary.last_publish_time ?? null,
      objects: summary.objects ?? 0,
    };
  }
  const sum: DryRun = { matched_count: 0, payload_bytes: 0, first_publish_time: null, last_publish_time: null, objects: 0 };
  const objects = new Set<string>();
  for await (const record of walkMatches(request, upperBoundMs, index)) {
    sum.matched_count++;
    sum.payload_bytes += record.payload_size;
    sum.first_publish_time = Math.min(sum.first_publish_time ?? record.publish_time, record.publish_time);
    sum.last_publish_time = Math.max(sum.last_publish_time ?? record.publish_time, record.publish_time);
    objects.add(record.location_key);
  }
  return { ...sum, objects: objects.size };
}

async function* walkMatches(request: ResubmitRequest, upperBoundMs: number, index: MetadataIndex): AsyncGenerator<IndexRecord> {
  const { selection, offset, collection } = request;
  let left = request.limit ?? Number.POSITIVE_INFINITY;
  if (selection.kind === "ids") {
    const found = await lookUp(selection.ids, collection, index);
    yield* found.sort((a, b) => compareRecords(a, b, "publish")).slice(offset, offset + left);
    return;
  }
  let after: IndexPosition | undefined;
  while (left > 0) {
    const limit = Math.min(left, WINDOW);
    const page = await index.find(collection, {
      filter: filterOf(selection, upperBoundMs),
      order: "publish",
      after,
      offset: after ? 0 : offset,
      limit,
      withoutAttributes: true,
    });
    yield* page;
    left -= page.length;
    const last = page.at(-1);
    if (!last || page.length < limit) return;
    after = positionOf(last, "publish");
  }
}
