import type { Filter } from "mongodb";
import type { ItemQuery, WorkCounts, WorkItem, WorkItems, WorkSummary } from "../../../core/ports/work-items.ts";
import { guarded, repeatedOnce } from "./errors.ts";
import { fieldsOfUpdate, itemId, itemOf, OPEN_ITEM_STATES } from "./items-documents.ts";
import { leaseItem } from "./items-lease.ts";
import type { ItemDocument, JobCollections } from "./jobs-collections.ts";
import { settleCommitted } from "./jobs-plans.ts";

const CODE = "job_store_unavailable";

/** The work items of the job store. */
export function createWorkItems(collections: () => Promise<JobCollections>): WorkItems {
  const call = <T>(action: string, work: (opened: JobCollections) => Promise<T>) =>
    guarded(action, CODE, async () => work(await collections()));
  return {
    lease: (options) => call("leasing a work item", (opened) => leaseItem(opened, options)),
    update: (item, update) =>
      call(`updating work item ${item.number} of job ${item.jobId}`, async ({ items }) => {
        const fields = await fieldsOfUpdate(item.jobId, update);
        const write = () => items.updateOne({ _id: itemId(item), attempt: item.attempt }, { $set: fields });
        return (await repeatedOnce(write)).matchedCount === 1;
      }),
    summarize: (jobId) => call(`summing up the work items of job ${jobId}`, (opened) => summarizeItems(opened, jobId)),
    list: (jobId, query) => call(`listing work items of job ${jobId}`, (opened) => listItems(opened, jobId, query)),
  };
}

async function listItems(collections: JobCollections, jobId: string, query: ItemQuery): Promise<WorkItem[]> {
  if (query.limit <= 0) return [];
  await settleCommitted(collections, jobId);
  const find = () => collections.items.find(filterOf(jobId, query)).sort({ number: 1 }).limit(query.limit).toArray();
  return Promise.all((await repeatedOnce(find)).map(itemOf));
}

/** Of the fields that name the job, the one that fewest items have. */
function filterOf(jobId: string, { states, withFailures, after }: ItemQuery): Filter<ItemDocument> {
  const filter: Filter<ItemDocument> = {};
  if (withFailures) filter.failed = jobId;
  else if (states?.every((state) => OPEN_ITEM_STATES.includes(state))) filter.open = jobId;
  else filter.job = jobId;
  if (states) filter.state = { $in: [...states] };
  if (after !== undefined) filter.number = { $gt: after };
  return filter;
}

const COUNTS = ["indexed", "fetched", "deserialized", "published", "verified"] as const;

type StateSum = WorkCounts & { _id: WorkItem["state"]; items: number; failures: number };

async function summarizeItems(collections: JobCollections, jobId: string): Promise<WorkSummary> {
  await settleCommitted(collections, jobId);
  const sums = Object.fromEntries(COUNTS.map((name) => [name, { $sum: `$counts.${name}` }]));
  const group = { _id: "$state", items: { $sum: 1 }, failures: { $sum: "$failure_count" }, ...sums };
  const found = await repeatedOnce(() => collections.items.aggregate<StateSum>([{ $match: { job: jobId } }, { $group: group }]).toArray());
  const counts: WorkCounts = { indexed: 0, fetched: 0, deserialized: 0, published: 0, verified: 0 };
  const summary: WorkSummary = { counts, planned: 0, leased: 0, done: 0, failed: 0, cancelled: 0, failures: 0 };
  for (const sum of found) {
    summary[sum._id] = sum.items;
    summary.failures += sum.failures;
    for (const name of COUNTS) counts[name] += sum[name];
  }
  return summary;
}
