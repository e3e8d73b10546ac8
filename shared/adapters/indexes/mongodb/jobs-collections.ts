import type { Binary, Collection, IndexDescription } from "mongodb";
import type { Job } from "../../../core/ports/job-store.ts";
import type { WorkCounts, WorkItem } from "../../../core/ports/work-items.ts";
import type { Connection } from "./connection.ts";
import { makeIndexes } from "./make-indexes.ts";

/** A plan step that is committed and whose items may still stand among the drafts. */
export interface PendingPlan {
  /** Of this attempt at planning alone. */
  token: string;
  /** The job's revision from which it was planned. */
  base: number;
  /** How many items it has. */
  items: number;
}

/** A job as stored; `body` is all of it as JSON, the other fields are what is searched and compared. */
export interface JobDocument extends Pick<Job, "kind" | "state" | "collection" | "revision"> {
  _id: string;
  created_at: number;
  body: string;
  /** The update that made this revision, to know one's own again when its answer was lost. */
  written_by: string;
  pending: PendingPlan | null;
}

/** Who holds an idempotency key, by the key's hash; with the job itself, since its holder may end before the job is stored. */
export interface KeyDocument {
  _id: string;
  job: string;
  created_at: number;
  body: string;
}

/** A work item as stored; see `items-documents.ts`. */
export interface ItemDocument extends Pick<WorkItem, "number" | "lane" | "state" | "attempt"> {
  _id: string;
  job: string;
  /** The job's id while the item is open, else null: what is searched for work stays as small as what is left to do. */
  open: string | null;
  /** The job's id where messages of the item failed, else null. */
  failed: string | null;
  /** When an open item may be leased: at the end of its back-off, or of its lease. */
  due_at: number;
  lease_until: number;
  not_before: number;
  counts: WorkCounts;
  failure_count: number;
  /** Entries and failures: JSON, compressed with Zstandard. */
  work: Binary;
}

/** An item that counts only once its job carries the plan's token. */
export interface DraftDocument {
  _id: string;
  job: string;
  base: number;
  token: string;
  item: ItemDocument;
}

/** The four collections of jobs. */
export interface JobCollections {
  jobs: Collection<JobDocument>;
  keys: Collection<KeyDocument>;
  items: Collection<ItemDocument>;
  drafts: Collection<DraftDocument>;
}

const INDEXES: Readonly<Record<string, IndexDescription[]>> = {
  jobs: [{ key: { created_at: -1, _id: -1 } }, { key: { "pending.items": 1 } }],
  work_items: [
    { key: { job: 1, number: 1 } },
    { key: { open: 1, number: 1, due_at: 1 } },
    { key: { open: 1, lane: 1, number: 1 } },
    { key: { failed: 1, number: 1 } },
  ],
  item_drafts: [{ key: { job: 1, base: 1 } }],
};

/** The collections, made with their indexes at the first call; a failed attempt is not remembered. Throws the driver's own errors. */
export function openJobCollections(connection: Connection): () => Promise<JobCollections> {
  let indexed: Promise<unknown> | undefined;
  return async () => {
    const db = await connection.db();
    indexed ??= Promise.all(Object.entries(INDEXES).map(([name, indexes]) => makeIndexes(db.collection(name), indexes)));
    await indexed.catch((error) => {
      indexed = undefined;
      throw error;
    });
    // What is decided here is decided by what was written last: a secondary may not have it yet.
    const options = { readPreference: "primary" } as const;
    return {
      jobs: db.collection("jobs", options),
      keys: db.collection("job_keys", options),
      items: db.collection("work_items", options),
      drafts: db.collection("item_drafts", options),
    };
  };
}
