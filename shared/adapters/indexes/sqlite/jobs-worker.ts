import type { JobQuery } from "../../../core/ports/job-store.ts";
import type { ItemQuery, LeaseOptions } from "../../../core/ports/work-items.ts";
import { serveSqliteWorker } from "../../support/sqlite-worker.ts";
import { transaction } from "./database.ts";
import { databaseError } from "./errors.ts";
import { createItemRows, type ItemRow, type UpdateCall } from "./item-rows.ts";
import { createJobRows, type JobRow } from "./job-rows.ts";
import { type JobsWorkerData, openJobsDatabase } from "./jobs-schema.ts";

export interface ListItemsCall {
  jobId: string;
  query: ItemQuery;
}

/** A job's new revision and the items that are planned with it. */
export interface UpdateJobCall {
  job: JobRow;
  newItems: readonly ItemRow[];
}

serveSqliteWorker((data: JobsWorkerData) => {
  const database = openJobsDatabase(data);
  const jobs = createJobRows(database);
  const items = createItemRows(database);
  return {
    methods: {
      insertJob: (row: JobRow) => guarded("storing a job", () => jobs.insert(row)),
      getJob: (id: string) => guarded("reading a job", () => jobs.get(id)),
      listJobs: (query: JobQuery) => guarded("listing jobs", () => jobs.list(query)),
      updateJob: ({ job, newItems }: UpdateJobCall) =>
        guarded("updating a job", () =>
          transaction(database, () => {
            const isUpdated = jobs.update(job);
            if (isUpdated) items.insert(newItems);
            return isUpdated;
          }),
        ),
      leaseItem: (options: LeaseOptions) => guarded("leasing a work item", () => items.lease(options)),
      updateItem: (call: UpdateCall) => guarded("updating a work item", () => items.update(call)),
      summarizeItems: (jobId: string) => guarded("summing up work items", () => items.summarize(jobId)),
      listItems: ({ jobId, query }: ListItemsCall) => guarded("listing work items", () => items.list(jobId, query)),
    },
    close: () => database.close(),
  };
});

function guarded<T>(action: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw databaseError(action, "job_store_unavailable", error);
  }
}
