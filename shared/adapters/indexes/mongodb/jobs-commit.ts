import { repeatedOnce } from "./errors.ts";
import type { JobCollections, JobDocument, PendingPlan } from "./jobs-collections.ts";
import { settlePlan } from "./jobs-plans.ts";

/** A job's next revision. */
export interface JobChange {
  id: string;
  /** The revision that it replaces. */
  base: number;
  fields: Omit<JobDocument, "_id" | "written_by" | "pending">;
  /** Of this update alone. */
  token: string;
  /** The plan step that comes with it. */
  pending: PendingPlan | undefined;
}

const MAX_CALLS = 3;

/** Replaces a job where its revision is still `base`; false where another was faster. Throws where that cannot be told. */
export async function commitJob(collections: JobCollections, change: JobChange): Promise<boolean> {
  let fault: unknown;
  for (let call = 1; ; call++) {
    try {
      if (await replaceJob(collections, change)) return true;
    } catch (error) {
      // Done or not, it may be done again: the condition lets it happen once.
      fault = error;
    }
    const stored = await storedMark(collections, change.id);
    const verdict = verdictOf(stored, change, fault !== undefined);
    if (verdict === "won" || verdict === "lost") return verdict === "won";
    if (verdict === "untold" || call === MAX_CALLS) throw fault ?? new Error("other plan steps came first each time");
    if (stored?.pending) await settlePlan(collections, change.id, stored.pending);
  }
}

/** A new plan step waits until the step before it is settled, so that a job has one at a time to keep. */
async function replaceJob({ jobs }: JobCollections, { id, base, fields, token, pending }: JobChange): Promise<boolean> {
  const filter = { _id: id, revision: base, ...(pending && { pending: null }) };
  const { matchedCount } = await jobs.updateOne(filter, { $set: { ...fields, written_by: token, ...(pending && { pending }) } });
  return matchedCount === 1;
}

type Mark = Pick<JobDocument, "revision" | "written_by" | "pending">;

function storedMark({ jobs }: JobCollections, id: string): Promise<Mark | null> {
  return repeatedOnce(() => jobs.findOne({ _id: id }, { projection: { revision: 1, written_by: 1, pending: 1 } }));
}

/** What became of a change that was not confirmed: `open` where it may still be made. */
function verdictOf(stored: Mark | null, { base, token }: JobChange, isAnswerLost: boolean): "won" | "lost" | "open" | "untold" {
  if (!stored) return "lost";
  if (stored.written_by === token || stored.pending?.token === token) return "won";
  if (stored.revision === base) return "open";
  // Two revisions on, the first of them may have been this one.
  return isAnswerLost && stored.revision > base + 1 ? "untold" : "lost";
}
