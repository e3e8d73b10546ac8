import { promisify } from "node:util";
import { zstdCompress, zstdDecompress } from "node:zlib";
import { Binary } from "mongodb";
import type { ItemState, ItemUpdate, WorkCounts, WorkItem } from "../../../core/ports/work-items.ts";
import type { ItemDocument } from "./jobs-collections.ts";

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** States in which an item still has work. */
export const OPEN_ITEM_STATES: readonly ItemState[] = ["planned", "leased"];

/** Name of an item's document: numbers have no slash, so that no two items share one. */
export function itemId({ jobId, number }: Pick<WorkItem, "jobId" | "number">): string {
  return `${jobId}/${number}`;
}

/** The document of an item. */
export async function documentOfItem(item: WorkItem): Promise<ItemDocument> {
  const { jobId, number, lane, attempt } = item;
  return { _id: itemId(item), job: jobId, number, lane, attempt, ...(await fieldsOfUpdate(jobId, item)) };
}

/** What of an item's document a worker writes. */
export async function fieldsOfUpdate(
  jobId: string,
  update: ItemUpdate,
): Promise<Omit<ItemDocument, "_id" | "job" | "number" | "lane" | "attempt">> {
  const { state, leaseUntilMs, notBeforeMs, counts, entries, failures } = update;
  return {
    state,
    open: OPEN_ITEM_STATES.includes(state) ? jobId : null,
    failed: failures.length > 0 ? jobId : null,
    due_at: state === "leased" ? leaseUntilMs : notBeforeMs,
    lease_until: leaseUntilMs,
    not_before: notBeforeMs,
    counts: countsOf(counts),
    failure_count: failures.length,
    work: new Binary(await compress(JSON.stringify({ entries, failures }))),
  };
}

/** The item that a document tells. */
export async function itemOf(document: ItemDocument): Promise<WorkItem> {
  const { job, number, lane, state, attempt, counts } = document;
  const { entries, failures } = JSON.parse((await decompress(document.work.value())).toString()) as Pick<WorkItem, "entries" | "failures">;
  return {
    jobId: job,
    number,
    lane,
    state,
    attempt,
    leaseUntilMs: document.lease_until,
    notBeforeMs: document.not_before,
    entries,
    counts: countsOf(counts),
    failures,
  };
}

function countsOf({ indexed, fetched, deserialized, published, verified }: WorkCounts): WorkCounts {
  return { indexed, fetched, deserialized, published, verified };
}
