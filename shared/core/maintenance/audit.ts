import type { Clock } from "../clock.ts";
import { InvalidInput, PersistorError } from "../errors.ts";
import { positionOf } from "../filter/order.ts";
import type { IndexRecord } from "../index-record.ts";
import type { Pipeline } from "../pipeline.ts";
import type { Job, JobStore } from "../ports/job-store.ts";
import type { IndexPosition, MetadataIndex } from "../ports/metadata-index.ts";
import { walkObjects } from "./walk-objects.ts";

/** What an audit counts; `findings` names the first of what is wrong. */
export interface AuditProgress {
  phase: "objects" | "index";
  objects: number;
  records: number;
  /** Stored records that the index has at this very place. */
  indexed: number;
  /** Stored records of which the index has another place: an earlier delivery's. */
  duplicates: number;
  /** Stored records that the index lacks. */
  missing_in_index: number;
  unreadable_objects: number;
  /** Index records checked against the store, and those whose object is gone. */
  index_records: number;
  missing_in_store: number;
  findings: { kind: "missing_in_index" | "missing_in_store" | "unreadable"; id?: string; key: string; detail?: string }[];
}

export const NO_AUDIT: AuditProgress = {
  phase: "objects",
  objects: 0,
  records: 0,
  indexed: 0,
  duplicates: 0,
  missing_in_index: 0,
  unreadable_objects: 0,
  index_records: 0,
  missing_in_store: 0,
  findings: [],
};

export interface AuditDeps {
  index: MetadataIndex;
  jobs: JobStore;
  clock: Clock;
  signal: AbortSignal;
}

const FINDINGS_KEPT = 1_000;
const IDS_PER_LOOKUP = 5_000;
const PAGE = 5_000;
const SAVE_EVERY_OBJECTS = 20;
const OBJECTS_REMEMBERED = 10_000;

/**
 * Compares a pipeline's stored objects with its index, both ways, changing neither; goes on where the job stands. Returns the job as stored.
 * Throws InvalidInput for a pipeline without index; StoreError, IndexError.
 */
export async function audit(job: Job, pipeline: Pipeline, deps: AuditDeps): Promise<Job | undefined> {
  const collection = pipeline.index?.collection;
  if (collection === undefined) {
    throw new InvalidInput(`auditing pipeline ${pipeline.name}: it has no index; set index.collection`, [
      { path: "pipeline", message: "has no index" },
    ]);
  }
  const progress = structuredClone((job.progress ?? NO_AUDIT) as AuditProgress);
  let current: Job | undefined = job;
  const save = async (change: Partial<Job>) => {
    current = current && (await deps.jobs.update({ ...current, state: "running", ...change, progress: structuredClone(progress) }));
    return current !== undefined && !deps.signal.aborted;
  };
  if (progress.phase === "objects") {
    if (!(await auditObjects(job, pipeline, collection, progress, deps, save))) return current;
    progress.phase = "index";
    if (!(await save({ cursor: null }))) return current;
  }
  if (!(await auditIndex(current?.cursor as IndexPosition | null, pipeline, collection, progress, deps, save))) return current;
  await save({ state: "succeeded", finishedAtMs: deps.clock.nowMs(), planComplete: true });
  return current;
}

type Save = (change: Partial<Job>) => Promise<boolean>;

async function auditObjects(
  job: Job,
  pipeline: Pipeline,
  collection: string,
  progress: AuditProgress,
  deps: AuditDeps,
  save: Save,
): Promise<boolean> {
  const after = typeof job.cursor === "string" ? job.cursor : undefined;
  for await (const { key, records, faults } of walkObjects(pipeline, after)) {
    progress.objects++;
    if (faults.length > 0) {
      progress.unreadable_objects++;
      note(progress, { kind: "unreadable", key, detail: faults[0] });
    }
    for (let from = 0; from < records.length; from += IDS_PER_LOOKUP) {
      await compareWithIndex(records.slice(from, from + IDS_PER_LOOKUP), collection, progress, deps.index);
    }
    if ((progress.objects % SAVE_EVERY_OBJECTS === 0 || deps.signal.aborted) && !(await save({ cursor: key }))) return false;
  }
  return true;
}

async function compareWithIndex(
  records: readonly IndexRecord[],
  collection: string,
  progress: AuditProgress,
  index: MetadataIndex,
): Promise<void> {
  const variant = ({ unique_id, digest }: IndexRecord) => `${unique_id}#${digest.slice(0, 16)}`;
  const plain = await index.get(collection, [...new Set(records.map(({ unique_id }) => unique_id))]);
  const byId = new Map(plain.map((record) => [record.unique_id, record]));
  const others = records.filter((record) => byId.get(record.unique_id)?.digest !== record.digest);
  for (const record of others.length === 0 ? [] : await index.get(collection, [...new Set(others.map(variant))]))
    byId.set(record.unique_id, record);
  for (const record of records) {
    progress.records++;
    const plainRecord = byId.get(record.unique_id);
    const known = plainRecord?.digest === record.digest ? plainRecord : byId.get(variant(record));
    if (!known) {
      progress.missing_in_index++;
      note(progress, { kind: "missing_in_index", id: record.unique_id, key: record.location_key });
    } else if (known.location_key === record.location_key && known.location_position === record.location_position) progress.indexed++;
    else progress.duplicates++;
  }
}

async function auditIndex(
  start: IndexPosition | null,
  pipeline: Pipeline,
  collection: string,
  progress: AuditProgress,
  deps: AuditDeps,
  save: Save,
): Promise<boolean> {
  const exists = objectProbe(pipeline);
  let after = start ?? undefined;
  for (;;) {
    const field = { kind: "record", name: "index_source_key" } as const;
    const page = await deps.index.find(collection, {
      filter: { op: "$eq", field, value: pipeline.name },
      order: "publish",
      after,
      limit: PAGE,
      withoutAttributes: true,
    });
    for (const record of page) {
      progress.index_records++;
      if (await exists(record.location_key)) continue;
      progress.missing_in_store++;
      note(progress, { kind: "missing_in_store", id: record.unique_id, key: record.location_key });
    }
    const last = page.at(-1);
    if (!last || page.length < PAGE) return true;
    after = positionOf(last, "publish");
    if (!(await save({ cursor: after }))) return false;
  }
}

/** Tells whether an object is there, asking the store once per object as long as it is remembered. */
function objectProbe(pipeline: Pipeline): (key: string) => Promise<boolean> {
  const known = new Map<string, boolean>();
  return async (key) => {
    const answer = known.get(key);
    if (answer !== undefined) return answer;
    let found = true;
    try {
      await pipeline.store.objects.get(key, { offset: 0, length: 1 });
    } catch (error) {
      if (!(error instanceof PersistorError) || error.retryable) throw error;
      found = false;
    }
    if (known.size >= OBJECTS_REMEMBERED) known.clear();
    known.set(key, found);
    return found;
  };
}

function note(progress: AuditProgress, finding: AuditProgress["findings"][number]): void {
  if (progress.findings.length < FINDINGS_KEPT) progress.findings.push(finding);
}
