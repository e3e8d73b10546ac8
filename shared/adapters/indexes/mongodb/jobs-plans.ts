import { randomUUID } from "node:crypto";
import type { Job } from "../../../core/ports/job-store.ts";
import type { WorkItem } from "../../../core/ports/work-items.ts";
import { repeatedOnce } from "./errors.ts";
import { documentOfItem } from "./items-documents.ts";
import { storeMissing } from "./jobs-absent.ts";
import type { DraftDocument, ItemDocument, JobCollections, PendingPlan } from "./jobs-collections.ts";

/** Of one command: far below what any server takes. */
const BATCH_ITEMS = 100;
const BATCH_BYTES = 4_000_000;

/** A plan step whose items stand among the drafts, where nobody sees them until a job carries `pending`. */
interface DraftedPlan {
  pending: PendingPlan;
  items: readonly ItemDocument[];
}

/** Writes the items of a plan step as drafts. */
export async function draftPlan({ drafts }: JobCollections, { id, revision }: Job, newItems: readonly WorkItem[]): Promise<DraftedPlan> {
  const token = randomUUID();
  const items = await Promise.all(firstOfEachNumber(newItems).map(documentOfItem));
  for (const batch of batchesOf(items)) {
    await storeMissing(
      drafts,
      batch.map((item): DraftDocument => ({ _id: `${token}/${item.number}`, job: id, base: revision, token, item })),
    );
  }
  return { pending: { token, base: revision, items: items.length }, items };
}

/** Removes the drafts of a plan that lost. */
export async function dropPlan({ drafts }: JobCollections, job: string, { base, token }: PendingPlan): Promise<void> {
  await drafts.deleteMany({ job, base, token });
}

/**
 * Makes the items of a committed plan step stand where they are seen; any number may do so at once, and again after one that was cut off.
 * The order is what makes that safe: items first, then the job's mark, the drafts last. `known`: the step's items, where they are at hand.
 */
export async function settlePlan(
  { jobs, items, drafts }: JobCollections,
  job: string,
  { token, base, items: count }: PendingPlan,
  known?: readonly ItemDocument[],
): Promise<void> {
  const found = known ?? (await repeatedOnce(() => drafts.find({ job, base, token }).toArray())).map(({ item }) => item);
  const ofPlan = { _id: job, "pending.token": token };
  if (found.length < count) {
    // Drafts go only after the mark: where it is gone, another has settled the step.
    if (!(await repeatedOnce(() => jobs.findOne(ofPlan, { projection: { _id: 1 } })))) return;
    throw new Error(`${count - found.length} items of a plan step are gone from the collection item_drafts; restore it from a backup`);
  }
  for (const batch of batchesOf(found)) await storeMissing(items, batch);
  await repeatedOnce(() => jobs.updateOne(ofPlan, { $set: { pending: null } }));
  await dropDeadDrafts(drafts, job, base);
}

/** Settles what is committed of a job, or of all jobs; returns whether there was something. */
export async function settleCommitted(collections: JobCollections, job?: string): Promise<boolean> {
  const unsettled = { "pending.items": { $gt: 0 }, ...(job !== undefined && { _id: job }) };
  const found = await repeatedOnce(() => collections.jobs.find(unsettled, { projection: { pending: 1 } }).toArray());
  for (const { _id, pending } of found) if (pending) await settlePlan(collections, _id, pending);
  return found.length > 0;
}

/** Removes drafts planned from revision `base` or an earlier one, once the job is past it: no job can come to carry them any more. */
export async function dropDeadDrafts(drafts: JobCollections["drafts"], job: string, base: number): Promise<void> {
  await repeatedOnce(() => drafts.deleteMany({ job, base: { $lte: base } }));
}

function firstOfEachNumber(items: readonly WorkItem[]): WorkItem[] {
  const firsts = new Map<number, WorkItem>();
  for (const item of items) if (!firsts.has(item.number)) firsts.set(item.number, item);
  return [...firsts.values()];
}

function* batchesOf(items: readonly ItemDocument[]): Generator<ItemDocument[]> {
  let batch: ItemDocument[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = item.work.length();
    if (batch.length === BATCH_ITEMS || (batch.length > 0 && bytes + size > BATCH_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(item);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}
