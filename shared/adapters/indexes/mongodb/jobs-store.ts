import { randomUUID } from "node:crypto";
import type { Filter } from "mongodb";
import { FINAL_STATES, type Job, type JobQuery, type JobStore } from "../../../core/ports/job-store.ts";
import type { WorkItem } from "../../../core/ports/work-items.ts";
import { guarded, repeatedOnce } from "./errors.ts";
import { storeUnlessThere } from "./jobs-absent.ts";
import type { JobCollections, JobDocument } from "./jobs-collections.ts";
import { commitJob, type JobChange } from "./jobs-commit.ts";
import { claimKey } from "./jobs-keys.ts";
import { draftPlan, dropDeadDrafts, dropPlan, settleCommitted, settlePlan } from "./jobs-plans.ts";

const CODE = "job_store_unavailable";

/** The job store on four collections. */
export function createJobStore(collections: () => Promise<JobCollections>, close: () => Promise<void>): JobStore {
  const call = <T>(action: string, work: (opened: JobCollections) => Promise<T>) =>
    guarded(action, CODE, async () => work(await collections()));
  return {
    insert: (job) => call(`storing job ${job.id}`, (opened) => insertJob(opened, job)),
    get: (id) =>
      call(`reading job ${id}`, async ({ jobs }) => {
        const found = await repeatedOnce(() => jobs.findOne({ _id: id }, { projection: { body: 1 } }));
        return found ? jobOf(found) : undefined;
      }),
    list: (query) => call("listing jobs", (opened) => listJobs(opened, query)),
    update: (job, newItems = []) => call(`updating job ${job.id}`, (opened) => updateJob(opened, job, newItems)),
    close,
  };
}

async function insertJob(collections: JobCollections, job: Job): Promise<Job> {
  // The key decides. Whoever finds it held stores the holder's job where its own request was cut off before it did.
  const owner = job.idempotencyKey === null ? job : await claimKey(collections, job, job.idempotencyKey);
  const document = { _id: owner.id, ...fieldsOf(owner), written_by: randomUUID(), pending: null };
  return jobOf(await storeUnlessThere(collections.jobs, document));
}

async function listJobs({ jobs }: JobCollections, { kind, states, collections, after, limit }: JobQuery): Promise<Job[]> {
  // To the server, a limit of 0 is none.
  if (limit <= 0) return [];
  const filter: Filter<JobDocument> = {};
  if (kind) filter.kind = kind;
  if (states) filter.state = { $in: [...states] };
  if (collections) filter.collection = { $in: [...collections] };
  if (after) filter.$or = [{ created_at: { $lt: after.createdAtMs } }, { created_at: after.createdAtMs, _id: { $lt: after.id } }];
  const find = () =>
    jobs
      .find(filter, { projection: { body: 1 } })
      .sort({ created_at: -1, _id: -1 })
      .limit(limit)
      .toArray();
  return (await repeatedOnce(find)).map(jobOf);
}

/** The revision decides: items are written before it as drafts, and stand only after it. See docs/decisions/005-jobs-without-transactions.md. */
async function updateJob(collections: JobCollections, job: Job, newItems: readonly WorkItem[]): Promise<Job | undefined> {
  const plan = newItems.length > 0 ? await draftPlan(collections, job, newItems) : undefined;
  const next = { ...job, revision: job.revision + 1 };
  const change: JobChange = {
    id: job.id,
    base: job.revision,
    fields: fieldsOf(next),
    token: plan?.pending.token ?? randomUUID(),
    pending: plan?.pending,
  };
  if (!(await commitJob(collections, change))) {
    if (plan) await afterwards(() => dropPlan(collections, job.id, plan.pending));
    return undefined;
  }
  await afterwards(async () => {
    if (plan) return settlePlan(collections, job.id, plan.pending, plan.items);
    if (!FINAL_STATES.includes(job.state)) return;
    await settleCommitted(collections, job.id);
    await dropDeadDrafts(collections.drafts, job.id, job.revision);
  });
  return next;
}

/** What follows the decision cannot change it, and who next comes to the job's items finishes what fails here. */
async function afterwards(work: () => Promise<void>): Promise<void> {
  await work().catch(() => undefined);
}

function fieldsOf(job: Job): Omit<JobDocument, "_id" | "written_by" | "pending"> {
  const { kind, state, collection, createdAtMs, revision } = job;
  return { kind, state, collection, created_at: createdAtMs, revision, body: JSON.stringify(job) };
}

function jobOf({ body }: Pick<JobDocument, "body">): Job {
  return JSON.parse(body) as Job;
}
