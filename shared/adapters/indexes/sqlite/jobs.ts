import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Job, JobStore } from "../../../core/ports/job-store.ts";
import type { WorkItem, WorkItems, WorkSummary } from "../../../core/ports/work-items.ts";
import type { JobDatabase } from "../../registry.ts";
import { startSqliteWorker } from "../../support/sqlite-worker.ts";
import { databaseError, portError } from "./errors.ts";
import type { ItemRow, UpdateCall } from "./item-rows.ts";
import type { JobRow } from "./job-rows.ts";
import type { ListItemsCall, UpdateJobCall } from "./jobs-worker.ts";
import { JOBS_FILE, WORKER_HEAP_MIB } from "./settings.ts";

type Call = <T>(method: string, argument?: unknown) => Promise<T>;

/** Opens the database of jobs in `dataDir`, made if it is not there. Throws IndexError `job_store_unavailable`. */
export async function openJobDatabase(dataDir: string): Promise<JobDatabase> {
  const { call, close } = await startJobsWorker(dataDir);
  return { jobs: jobStore(call, close), items: workItems(call), close };
}

async function startJobsWorker(dataDir: string): Promise<{ call: Call; close(): Promise<void> }> {
  const unavailable = "job_store_unavailable";
  await mkdir(dataDir, { recursive: true }).catch((cause) => {
    throw databaseError(`making the data folder ${dataDir}`, unavailable, cause);
  });
  const worker = await startSqliteWorker({
    from: import.meta.url,
    script: "./jobs-worker",
    data: { path: join(dataDir, JOBS_FILE) },
    unavailable,
    maxOldSpaceMb: WORKER_HEAP_MIB,
  }).catch((error) => {
    throw portError(error, unavailable);
  });
  let closing: Promise<void> | undefined;
  return {
    async call<T>(method: string, argument?: unknown): Promise<T> {
      try {
        return await worker.call<T>(method, argument);
      } catch (error) {
        throw portError(error, unavailable);
      }
    },
    close() {
      closing ??= worker.close();
      return closing;
    },
  };
}

function jobStore(call: Call, close: () => Promise<void>): JobStore {
  return {
    insert: async (job) => jobOf(await call<string>("insertJob", rowOfJob(job, job.revision))),
    async get(id) {
      const body = await call<string | undefined>("getJob", id);
      return body === undefined ? undefined : jobOf(body);
    },
    list: async (query) => (await call<string[]>("listJobs", query)).map(jobOf),
    async update(job, newItems = []) {
      const next = rowOfJob(job, job.revision + 1);
      const change: UpdateJobCall = { job: { ...next, revision: job.revision }, newItems: newItems.map(packed) };
      return (await call<boolean>("updateJob", change)) ? jobOf(next.body) : undefined;
    },
    close,
  };
}

function rowOfJob(job: Job, revision: number): JobRow {
  const { id, kind, state, collection, createdAtMs, idempotencyKey } = job;
  return { id, kind, state, collection, createdAtMs, idempotencyKey, revision, body: JSON.stringify({ ...job, revision }) };
}

function jobOf(body: string): Job {
  return JSON.parse(body) as Job;
}

function workItems(call: Call): WorkItems {
  return {
    async lease(options) {
      const row = await call<ItemRow | undefined>("leaseItem", options);
      return row && itemOf(row);
    },
    update: ({ jobId, number, attempt }, update) =>
      call<boolean>("updateItem", { item: { jobId, number, attempt }, update: packed(update) } satisfies UpdateCall),
    summarize: (jobId) => call<WorkSummary>("summarizeItems", jobId),
    list: async (jobId, query) => (await call<ItemRow[]>("listItems", { jobId, query } satisfies ListItemsCall)).map(itemOf),
  };
}

type Packed<T> = Omit<T, "entries" | "failures"> & { entries: string; failures: string; failureCount: number };

function packed<T extends Pick<WorkItem, "entries" | "failures">>(item: T): Packed<T> {
  const { entries, failures, ...rest } = item;
  return { ...rest, entries: JSON.stringify(entries), failures: JSON.stringify(failures), failureCount: failures.length };
}

function itemOf({ failureCount: _, entries, failures, ...rest }: ItemRow): WorkItem {
  return { ...rest, entries: JSON.parse(entries), failures: JSON.parse(failures) };
}
