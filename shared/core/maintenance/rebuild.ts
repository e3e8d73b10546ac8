import { InvalidInput } from "../errors.ts";
import { type IndexDeps, storeRecords } from "../index/store-records.ts";
import type { IndexRecord } from "../index-record.ts";
import type { Pipeline } from "../pipeline.ts";
import type { Job, JobStore } from "../ports/job-store.ts";
import { walkObjects } from "./walk-objects.ts";

/** What a rebuild has done so far. */
export interface RebuildProgress {
  objects: number;
  records: number;
  unreadable_objects: number;
  /** The first of them, each with what is wrong. */
  unreadable: { key: string; reason: string }[];
}

export const NO_REBUILD: RebuildProgress = { objects: 0, records: 0, unreadable_objects: 0, unreadable: [] };

const FLUSH_RECORDS = 10_000;
const FAULTS_KEPT = 1_000;

/**
 * Builds the index of a pipeline from its stored objects alone, going on behind the job's cursor; the cursor moves only behind what the index
 * has. Returns the job as stored. Throws InvalidInput for a pipeline without index; StoreError, IndexError.
 */
export async function rebuildIndex(
  job: Job,
  pipeline: Pipeline,
  deps: IndexDeps & { jobs: JobStore; signal: AbortSignal },
): Promise<Job | undefined> {
  const collection = pipeline.index?.collection;
  if (collection === undefined) {
    throw new InvalidInput(`rebuilding the index of pipeline ${pipeline.name}: it has none; set index.collection`, [
      { path: "pipeline", message: "has no index" },
    ]);
  }
  let current: Job | undefined = job;
  const progress = structuredClone((job.progress ?? NO_REBUILD) as RebuildProgress);
  let pending: IndexRecord[] = [];
  const save = async (key: string, done: boolean) => {
    await storeRecords(collection, pending, deps);
    pending = [];
    const end = done
      ? ({ state: "succeeded", finishedAtMs: deps.clock.nowMs(), planComplete: true } as const)
      : { state: "running" as const };
    current = current && (await deps.jobs.update({ ...current, ...end, cursor: key, progress: structuredClone(progress) }));
  };
  let last = typeof job.cursor === "string" ? job.cursor : "";
  for await (const { key, records, faults } of walkObjects(pipeline, last || undefined)) {
    if (deps.signal.aborted) return current;
    pending.push(...records);
    progress.objects++;
    progress.records += records.length;
    if (faults.length > 0) {
      progress.unreadable_objects++;
      if (progress.unreadable.length < FAULTS_KEPT) progress.unreadable.push({ key, reason: faults[0] as string });
    }
    last = key;
    if (pending.length >= FLUSH_RECORDS) await save(key, false);
    if (!current) return undefined;
  }
  await save(last, true);
  return current;
}
