import type { Db } from "mongodb";
import { type Connection, openConnection } from "../../shared/adapters/indexes/mongodb/connection.ts";
import { freshDatabase, sharedServer } from "../../shared/adapters/indexes/mongodb/harness.ts";
import { openJobDatabase } from "../../shared/adapters/indexes/mongodb/jobs.ts";
import type { JobDatabase } from "../../shared/adapters/registry.ts";
import type { Job } from "../../shared/core/ports/job-store.ts";
import type { WorkItem } from "../../shared/core/ports/work-items.ts";
import { sampleEntries, sampleItem } from "./job-samples.ts";
import { type Fates, faultyConnection } from "./mongo-faults.ts";

/** One fresh database of jobs, opened any number of times, as by as many processes. */
export type SharedJobs = Awaited<ReturnType<typeof shareJobs>>;

/** Makes a fresh database on the server that the tests of a file share. */
export async function shareJobs() {
  const { uri, kind } = await sharedServer();
  const { settings, drop } = freshDatabase(uri);
  const opened: JobDatabase[] = [];
  const keep = (connection: Connection) => {
    const database = openJobDatabase(connection);
    opened.push(database);
    return database;
  };
  const closeAll = async () => {
    for (const database of opened) await database.close();
  };
  /** The database itself, to look behind the port. */
  const inDatabase = async <T>(work: (db: Db) => Promise<T>): Promise<T> => {
    const connection = openConnection(settings);
    try {
      return await work(await connection.db());
    } finally {
      await connection.close();
    }
  };
  return {
    settings,
    kind,
    open: (at = uri) => keep(openConnection({ ...settings, uri: at })),
    /** A database of jobs whose writes fail as told; `writes` counts them. */
    openFaulty(fates: Fates, beforeRead?: () => Promise<void>): JobDatabase & { writes(): number } {
      const connection = faultyConnection(openConnection(settings), fates, beforeRead);
      return { ...keep(connection), writes: connection.writes };
    },
    inDatabase,
    countDrafts: () => inDatabase((db) => db.collection("item_drafts").countDocuments()),
    closeAll,
    async end(): Promise<void> {
      await closeAll();
      await drop();
    },
  };
}

/** A plan step of `by`, of one lane, behind what the job has. */
export function stepOf(job: Job, by: string, count: number): [Job, WorkItem[]] {
  const numbers = Array.from({ length: count }, (_, i) => job.nextItem + i);
  const items = numbers.map((number) => sampleItem(number, { jobId: job.id, lane: "one", entries: sampleEntries([`${by}-${number}`]) }));
  return [{ ...job, nextItem: job.nextItem + count }, items];
}
