import type { DatabaseSync } from "node:sqlite";
import { openDatabase } from "./database.ts";
import { JOBS_CACHE_KIB } from "./settings.ts";

const SCHEMA_VERSION = 1;

/**
 * `job.body` and the JSON columns of `item` are opaque here. Large columns stand last: SQLite reads a row from its start, so sums and
 * leases never touch them. `item_open` is as small as what is still to do, and holds all that choosing the next item asks for.
 */
const SCHEMA = `
CREATE TABLE job (id TEXT PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, collection TEXT NOT NULL, created_at INTEGER NOT NULL,
  revision INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX job_by_time ON job (created_at, id);
CREATE TABLE idempotency (key TEXT PRIMARY KEY, job TEXT NOT NULL, created_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE item (
  job TEXT NOT NULL,
  number INTEGER NOT NULL,
  lane TEXT,
  state TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  lease_until INTEGER NOT NULL,
  not_before INTEGER NOT NULL,
  indexed INTEGER NOT NULL,
  fetched INTEGER NOT NULL,
  deserialized INTEGER NOT NULL,
  published INTEGER NOT NULL,
  verified INTEGER NOT NULL,
  failure_count INTEGER NOT NULL,
  failures TEXT NOT NULL,
  entries TEXT NOT NULL,
  UNIQUE (job, number)
) STRICT;
CREATE INDEX item_open ON item (job, number, state, not_before, lease_until, lane) WHERE state IN ('planned', 'leased');
CREATE INDEX item_lane ON item (job, lane, number) WHERE lane IS NOT NULL AND state IN ('planned', 'leased');
CREATE INDEX item_failed ON item (job, number) WHERE failure_count > 0;
`;

/** What the worker's script is given. */
export interface JobsWorkerData {
  path: string;
}

/** Opens the database of jobs. Throws IndexError `job_store_unavailable`. */
export function openJobsDatabase({ path }: JobsWorkerData): DatabaseSync {
  return openDatabase({
    path,
    synchronous: "FULL",
    cacheKib: JOBS_CACHE_KIB,
    schemaVersion: SCHEMA_VERSION,
    schema: SCHEMA,
    unavailable: "job_store_unavailable",
  });
}
