import type { IndexPosition } from "./metadata-index.ts";
import type { WorkItem } from "./work-items.ts";

export type JobKind = "resubmit" | "rebuild" | "audit";

export type JobState = "planning" | "running" | "succeeded" | "partial" | "failed" | "cancelling" | "cancelled";

/** States that no worker changes any more. */
export const FINAL_STATES: readonly JobState[] = ["succeeded", "partial", "failed", "cancelled"];

/** States in which a job still has work. */
export const OPEN_STATES: readonly JobState[] = ["planning", "running", "cancelling"];

/** One request that is worked off in parts, as stored. Times in milliseconds since 1970. */
export interface Job {
  id: string;
  kind: JobKind;
  state: JobState;
  collection: string;
  /** Destination's name; empty for kinds without. */
  topic: string;
  /** The request as validated, JSON. */
  request: unknown;
  createdBy: string;
  createdAtMs: number;
  startedAtMs: number | null;
  finishedAtMs: number | null;
  /** Records published at or after this time are not part of the job. */
  upperBoundMs: number;
  planComplete: boolean;
  /** How far the planner came: the last position planned, or the last object key; null at the start. */
  cursor: IndexPosition | string | null;
  /** Number of the next work item to plan. */
  nextItem: number;
  /** Records planned so far. */
  plannedCount: number;
  /** What a kind keeps for itself (audit and rebuild: their counts), JSON. */
  progress: unknown;
  error: string | null;
  /** Caller + method + path + key; null without `Idempotency-Key`. */
  idempotencyKey: string | null;
  /** Hash of the request body, to tell a repeat from another request under the same key. */
  requestHash: string | null;
  /** Raised by one at each update; the condition of the next. */
  revision: number;
}

export interface JobQuery {
  kind?: JobKind;
  states?: readonly JobState[];
  /** Only jobs of these collections; absent: all. */
  collections?: readonly string[];
  /** Only jobs before this one in the listing's order (newest first: created, id descending). */
  after?: { createdAtMs: number; id: string };
  limit: number;
}

/** How long an idempotency key answers for its first request. */
export const IDEMPOTENCY_TTL_MS = 24 * 60 * 60 * 1000;

/**
 * Durable home of jobs. When a method resolves, its change survives a power cut.
 * All methods throw IndexError `job_store_unavailable` (retryable) where the database cannot be used.
 */
export interface JobStore {
  /**
   * Stores a new job (revision as given). Where its `idempotencyKey` is held by a job created less than `IDEMPOTENCY_TTL_MS` before
   * `job.createdAtMs`, nothing is stored and that job is returned; else the stored job itself.
   */
  insert(job: Job): Promise<Job>;
  get(id: string): Promise<Job | undefined>;
  list(query: JobQuery): Promise<Job[]>;
  /**
   * Replaces the job if its stored revision is `job.revision` (stores `revision + 1`), and with it adds `newItems`: both or neither, so a plan
   * that was cut off leaves no items behind. Returns the stored job, or undefined where another was faster.
   */
  update(job: Job, newItems?: readonly WorkItem[]): Promise<Job | undefined>;
  close(): Promise<void>;
}
