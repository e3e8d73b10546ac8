import type { Job } from "../../shared/core/ports/job-store.ts";
import type { WorkEntries, WorkItem } from "../../shared/core/ports/work-items.ts";

/** A job with every field; what a test is about is given in `fields`. */
export function sampleJob(id: string, fields: Partial<Job> = {}): Job {
  return {
    id,
    kind: "resubmit",
    state: "planning",
    collection: "orders",
    topic: "replay",
    request: { ids: ["a", "\u0000", "__proto__"], nested: { $gt: null } },
    createdBy: "someone",
    createdAtMs: 1_000,
    startedAtMs: null,
    finishedAtMs: null,
    upperBoundMs: 2_000,
    planComplete: false,
    cursor: null,
    nextItem: 0,
    plannedCount: 0,
    progress: null,
    error: null,
    idempotencyKey: null,
    requestHash: null,
    revision: 0,
    ...fields,
  };
}

export const NO_COUNTS = { indexed: 0, fetched: 0, deserialized: 0, published: 0, verified: 0 };

export function sampleEntries(ids: string[]): WorkEntries {
  const zeros = ids.map(() => 0);
  return {
    ids,
    digests: ids.map(() => "00"),
    objects: [{ store: "lake", key: "o", codec: "zstandard", formatVersion: 1 }],
    object: zeros,
    positions: ids.map((_, i) => i),
    blockOffsets: zeros,
    blockLengths: zeros,
    blockPositions: zeros,
  };
}

export function sampleItem(number: number, fields: Partial<WorkItem> = {}): WorkItem {
  return {
    jobId: "job",
    number,
    lane: null,
    state: "planned",
    attempt: 0,
    leaseUntilMs: 0,
    notBeforeMs: 0,
    entries: sampleEntries([`m${number}`]),
    counts: { ...NO_COUNTS, indexed: 1 },
    failures: [],
    ...fields,
  };
}
