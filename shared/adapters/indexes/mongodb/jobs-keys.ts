import { sha256Hex } from "../../../core/digest.ts";
import { IDEMPOTENCY_TTL_MS, type Job } from "../../../core/ports/job-store.ts";
import { repeatedOnce } from "./errors.ts";
import { storeUnlessThere } from "./jobs-absent.ts";
import type { JobCollections, KeyDocument } from "./jobs-collections.ts";

/** Claims the job's idempotency key for it; returns the job that holds the key then, as it was when it came: this one, or an earlier one. */
export async function claimKey({ keys }: JobCollections, job: Job, key: string): Promise<Job> {
  // Keys may be longer than what an index takes.
  const claim: KeyDocument = { _id: sha256Hex(JSON.stringify(key)), job: job.id, created_at: job.createdAtMs, body: JSON.stringify(job) };
  const { _id, ...fields } = claim;
  for (;;) {
    const holder = await storeUnlessThere(keys, claim);
    const isHeld = holder.job === job.id || holder.created_at > job.createdAtMs - IDEMPOTENCY_TTL_MS;
    if (isHeld) return JSON.parse(holder.body) as Job;
    // Of many that find the key free again, the first takes it; the others find it taken.
    await repeatedOnce(() => keys.updateOne({ _id, job: holder.job }, { $set: fields }));
  }
}
