/** The messages of one work item, as columns of equal length: one row per message. Opaque to the store (JSON). */
export interface WorkEntries {
  ids: string[];
  /** Hex digests of the index records; empty text where the record has none. */
  digests: string[];
  /** The objects that the rows refer to by index. */
  objects: { store: string; key: string; codec: string; formatVersion: number }[];
  object: number[];
  positions: number[];
  blockOffsets: number[];
  blockLengths: number[];
  blockPositions: number[];
}

export type ItemState = "planned" | "leased" | "done" | "failed" | "cancelled";

/** Counts of one item or of a whole job; a job's are always summed from its items, never kept. */
export interface WorkCounts {
  indexed: number;
  fetched: number;
  deserialized: number;
  published: number;
  verified: number;
}

export type FailureReason = "storage_error" | "deserialization_error" | "digest_mismatch" | "unsupported_by_destination" | "publish_error";

export interface WorkFailure {
  id: string;
  reason: FailureReason;
  detail: string;
  /** The row of the item that failed, to try it again. Opaque to the store (JSON). */
  entry: unknown;
}

/** A part of a job that one worker does at a time. */
export interface WorkItem {
  jobId: string;
  /** From 0 in the order of planning; with `jobId` its identity, so planning again after a crash adds nothing. */
  number: number;
  /** Items of one job with the same lane are worked one at a time, by number; null: no such bond. */
  lane: string | null;
  state: ItemState;
  /** Leases so far; the fencing token of the present one. */
  attempt: number;
  leaseUntilMs: number;
  /** Not to be leased before this time (back-off). */
  notBeforeMs: number;
  entries: WorkEntries;
  counts: WorkCounts;
  failures: WorkFailure[];
}

/** What a worker writes at the end of, or during, its lease. `entries` as what is left to do. */
export interface ItemUpdate {
  state: ItemState;
  leaseUntilMs: number;
  notBeforeMs: number;
  entries: WorkEntries;
  counts: WorkCounts;
  failures: WorkFailure[];
}

export interface WorkSummary {
  counts: WorkCounts;
  planned: number;
  leased: number;
  done: number;
  failed: number;
  cancelled: number;
  /** Failed messages over all items. */
  failures: number;
}

export interface ItemQuery {
  states?: readonly ItemState[];
  /** Only items that name failed messages. */
  withFailures?: boolean;
  /** Only items with a number above this. */
  after?: number;
  limit: number;
}

export interface LeaseOptions {
  /** Only of this job; absent: of any job. */
  jobId?: string;
  nowMs: number;
  leaseMs: number;
}

/**
 * Durable queue of work items; they come in with `JobStore.update`. When a method resolves, its change survives a power cut.
 * All methods throw IndexError `job_store_unavailable` (retryable) where the database cannot be used.
 */
export interface WorkItems {
  /**
   * Takes the first item (by job, number) that is `planned` and due, or `leased` with its lease over, whose lane has no earlier open item:
   * sets it `leased`, raises `attempt`. Undefined where there is none.
   */
  lease(options: LeaseOptions): Promise<WorkItem | undefined>;
  /** Writes the update if the item's `attempt` is still the given one (and for `planned`/`cancelled` items if it was never leased since); false where it is not. */
  update(item: Pick<WorkItem, "jobId" | "number" | "attempt">, update: ItemUpdate): Promise<boolean>;
  summarize(jobId: string): Promise<WorkSummary>;
  /** Items by number. */
  list(jobId: string, query: ItemQuery): Promise<WorkItem[]>;
}
