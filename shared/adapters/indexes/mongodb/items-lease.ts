import type { Filter } from "mongodb";
import type { LeaseOptions, WorkItem } from "../../../core/ports/work-items.ts";
import { repeatedOnce } from "./errors.ts";
import { itemOf } from "./items-documents.ts";
import type { ItemDocument, JobCollections } from "./jobs-collections.ts";
import { settleCommitted } from "./jobs-plans.ts";

type Candidate = Pick<ItemDocument, "_id" | "job" | "number" | "lane" | "attempt">;
type Lane = Pick<ItemDocument, "job" | "lane">;

/** Leases the next item as the port says: looks for it, then takes it on condition that nobody did meanwhile. */
export async function leaseItem(collections: JobCollections, options: LeaseOptions): Promise<WorkItem | undefined> {
  const busyLanes: Lane[] = [];
  for (;;) {
    const found = await firstDue(collections, options, busyLanes);
    // After looking, not before: a plan step that is half settled now shows items whose lane has an earlier one that does not stand yet.
    if (await settleCommitted(collections, options.jobId)) continue;
    if (!found) return undefined;
    if (await hasEarlierInLane(collections, found)) {
      busyLanes.push({ job: found.job, lane: found.lane });
      continue;
    }
    const leased = await take(collections, found, options);
    if (leased) return itemOf(leased);
  }
}

function firstDue({ items }: JobCollections, { jobId, nowMs }: LeaseOptions, busyLanes: readonly Lane[]): Promise<Candidate | null> {
  const filter: Filter<ItemDocument> = { open: jobId ?? { $gte: "" }, due_at: { $lte: nowMs } };
  if (busyLanes.length > 0) filter.$nor = [...busyLanes];
  const projection = { job: 1, number: 1, lane: 1, attempt: 1 };
  return repeatedOnce(() => items.findOne(filter, { sort: { open: 1, number: 1 }, projection }));
}

/** What is found closed here stays closed while the item behind it is taken: only resuming a job that has ended opens items again. */
async function hasEarlierInLane({ items }: JobCollections, { job, lane, number }: Candidate): Promise<boolean> {
  if (lane === null) return false;
  const earlier = { open: job, lane, number: { $lt: number } };
  return (await repeatedOnce(() => items.findOne(earlier, { projection: { _id: 1 } }))) !== null;
}

/** One write decides between many. Where its answer is lost, the item stays leased to nobody until its lease is over. */
function take({ items }: JobCollections, { _id, job, attempt }: Candidate, { nowMs, leaseMs }: LeaseOptions): Promise<ItemDocument | null> {
  const untilMs = nowMs + leaseMs;
  return repeatedOnce(() =>
    items.findOneAndUpdate(
      { _id, attempt, open: job, due_at: { $lte: nowMs } },
      { $set: { state: "leased", due_at: untilMs, lease_until: untilMs }, $inc: { attempt: 1 } },
      { returnDocument: "after" },
    ),
  );
}
