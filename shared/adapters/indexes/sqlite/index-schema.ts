import type { DatabaseSync } from "node:sqlite";
import { openDatabase } from "./database.ts";

const SCHEMA_VERSION = 1;

/**
 * `attribute` has one row per text of a record's attribute and one more per number: SQLite sorts numbers before texts before blobs, so one
 * tree holds both, and a range has to be bounded by type. `k` is the id of (collection, name). Blobs tell what has no text or concerns
 * several values: see `EXISTS_MARK` and `REPEATED_MARK`. The two orders of `record` end with what summaries add up, so that these need no row.
 */
const SCHEMA = `
CREATE TABLE collection (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, records INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE object (id INTEGER PRIMARY KEY, collection INTEGER NOT NULL, location_key TEXT NOT NULL, store TEXT NOT NULL,
  UNIQUE (collection, location_key, store)) STRICT;
CREATE TABLE attribute_name (k INTEGER PRIMARY KEY, collection INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (collection, name)) STRICT;
CREATE TABLE record (
  id INTEGER PRIMARY KEY,
  collection INTEGER NOT NULL,
  unique_id TEXT NOT NULL,
  broker_id TEXT NOT NULL,
  broker_msg_id TEXT NOT NULL,
  ordering_key TEXT,
  business_source_key TEXT,
  business_object_key TEXT,
  index_source_key TEXT,
  partition TEXT,
  sequence INTEGER,
  sequence_text TEXT,
  object INTEGER NOT NULL,
  location_position INTEGER NOT NULL,
  block_offset INTEGER NOT NULL,
  block_length INTEGER NOT NULL,
  block_position INTEGER NOT NULL,
  codec TEXT NOT NULL,
  format_version INTEGER NOT NULL,
  payload_size INTEGER NOT NULL,
  content_type TEXT,
  digest TEXT NOT NULL,
  publish_time INTEGER NOT NULL,
  ingestion_time INTEGER NOT NULL,
  indexer_ingestion_time INTEGER NOT NULL,
  attributes TEXT NOT NULL,
  truncated_attributes TEXT,
  source_key TEXT AS (coalesce(ordering_key, partition, '')) VIRTUAL,
  sequence_rank INTEGER AS (coalesce(sequence, -1)) VIRTUAL
);
CREATE UNIQUE INDEX record_by_id ON record (collection, unique_id);
CREATE INDEX record_by_broker ON record (collection, broker_id, publish_time, unique_id, payload_size, object);
CREATE INDEX record_by_time ON record (collection, publish_time, unique_id, payload_size, object);
CREATE INDEX record_by_object ON record (collection, object);
CREATE TABLE attribute (k INTEGER NOT NULL, v NOT NULL, publish_time INTEGER NOT NULL, record INTEGER NOT NULL,
  PRIMARY KEY (k, v, publish_time, record)) WITHOUT ROWID;
`;

/** Made at the first question for `source` order: most indexes never get one, and it costs a quarter of the time to write. */
const SOURCE_INDEX =
  "CREATE INDEX IF NOT EXISTS record_by_source ON record (collection, source_key, sequence_rank, publish_time, unique_id)";

/** `v` where the attribute has a value without text: null or binary. Blobs sort behind all numbers and texts. */
export const EXISTS_MARK = new Uint8Array(0);
/** `v` where a record has the attribute more than once: there, two bounds of a range may be met by two values. */
export const REPEATED_MARK = Uint8Array.of(1);

/** What the worker's script is given. */
export interface IndexWorkerData {
  path: string;
  role: "writer" | "reader";
  cacheKib: number;
}

/** Opens the index's database. Throws IndexError `index_unavailable`. */
export function openIndexDatabase({ path, cacheKib }: IndexWorkerData): DatabaseSync {
  return openDatabase({
    path,
    synchronous: "NORMAL",
    cacheKib,
    schemaVersion: SCHEMA_VERSION,
    schema: SCHEMA,
    unavailable: "index_unavailable",
  });
}

/** Makes the index for `source` order unless it is there. */
export function makeSourceIndex(database: DatabaseSync): void {
  database.exec(SOURCE_INDEX);
}
