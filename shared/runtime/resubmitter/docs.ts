import { z } from "zod";

// How the answers of the Resubmitter API are described.

const count = z.int().min(0);
const time = z.string().meta({ format: "date-time" });

export const summaryDoc = z.object({
  indexed_count: count.describe("Messages that matched."),
  fetched_count: count,
  deserialized_count: count,
  published_count: count,
  verified_count: count.describe("Published messages whose digest is the one taken when they were persisted."),
});

export const reasonDoc = z.enum([
  "storage_error",
  "deserialization_error",
  "digest_mismatch",
  "unsupported_by_destination",
  "publish_error",
]);

export const answerDoc = z.object({
  status: z.int(),
  msg: z.string(),
  job: z.string(),
  summary: summaryDoc,
  errors: z.object({
    indexer_errors: z.array(z.object({ id: z.string(), reason: z.literal("not_found") })),
    pipeline_errors: z.array(z.object({ id: z.string(), reason: reasonDoc })).describe("The first 1,000; the rest by the job's failures."),
  }),
});

export const dryRunDoc = z.object({
  matched_count: count,
  payload_bytes: count,
  first_publish_time: time.nullable(),
  last_publish_time: time.nullable(),
  objects: count,
});

export const acceptedDoc = z.object({ job: z.string().describe("Id of the job; `Location` leads to it.") });

export const stateDoc = z.enum(["planning", "running", "succeeded", "partial", "failed", "cancelling", "cancelled"]);

export const jobDoc = z.object({
  id: z.string(),
  kind: z.literal("resubmit"),
  state: stateDoc,
  collection: z.string(),
  topic: z.string(),
  request: z.record(z.string(), z.unknown()),
  created_by: z.string(),
  created_at: time,
  started_at: time.nullable(),
  finished_at: time.nullable(),
  summary: summaryDoc,
  plan_complete: z.boolean(),
  items: z.object({ planned: count, done: count, failed: count }),
  rate_per_second: z.number(),
  eta_seconds: z.int().nullable(),
  late_arrivals_excluded_after: time,
  error: z.string().nullable(),
});

export const jobsDoc = z.object({ jobs: z.array(jobDoc), cursor: z.string().nullable() });

export const failuresDoc = z.object({
  failures: z.array(z.object({ id: z.string(), reason: reasonDoc, detail: z.string() })),
  cursor: z.string().nullable(),
});
