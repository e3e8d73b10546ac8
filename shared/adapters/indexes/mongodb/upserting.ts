import { type AnyBulkWriteOperation, type Collection, MongoBulkWriteError } from "mongodb";
import { mapConcurrently } from "../../../core/concurrency.ts";
import type { IndexRecord } from "../../../core/index-record.ts";
import type { UpsertResult } from "../../../core/ports/metadata-index.ts";
import { documentOf, type RecordDocument } from "./documents.ts";
import { DUPLICATE_KEY, repeatedOnce } from "./errors.ts";

/** Writes of one command; some servers take no more. */
const BATCH_RECORDS = 1000;
const BATCHES_AT_ONCE = 4;
const CONFLICT_DIGEST_LENGTH = 16;

type Records = Collection<RecordDocument>;

/** Stores records as the port says: the first location wins, another message of the same id gets a name of its own. */
export async function upsertRecords(collection: Records, records: readonly IndexRecord[]): Promise<UpsertResult> {
  const firsts = firstOfEach(records);
  const digests = new Map<string, string>();
  const inserted = await insertMissing(collection, [...firsts.values()], digests);

  const result: UpsertResult = { inserted: inserted.size, existed: 0, conflicts: [] };
  const others: IndexRecord[] = [];
  for (const record of records) {
    const { unique_id, digest } = record;
    if (inserted.has(unique_id) && firsts.get(unique_id) === record) {
      // Given twice as the same object, the second is a repeat.
      firsts.delete(unique_id);
      continue;
    }
    const stored = digests.get(unique_id);
    if (stored === undefined) throw new Error(`record ${unique_id} was there and is gone`);
    if (stored === digest) result.existed++;
    else {
      result.conflicts.push(unique_id);
      others.push({ ...record, unique_id: `${unique_id}#${digest.slice(0, CONFLICT_DIGEST_LENGTH)}` });
    }
  }
  await insertMissing(collection, [...firstOfEach(others).values()]);
  return result;
}

function firstOfEach(records: readonly IndexRecord[]): Map<string, IndexRecord> {
  const firsts = new Map<string, IndexRecord>();
  for (const record of records) if (!firsts.has(record.unique_id)) firsts.set(record.unique_id, record);
  return firsts;
}

/** Inserts those that are not there; returns their ids. Sets the digest that is now stored of each in `digests`. */
async function insertMissing(
  collection: Records,
  records: readonly IndexRecord[],
  digests?: Map<string, string>,
): Promise<ReadonlySet<string>> {
  const inserted = new Set<string>();
  const batches: IndexRecord[][] = [];
  for (let i = 0; i < records.length; i += BATCH_RECORDS) batches.push(records.slice(i, i + BATCH_RECORDS));
  await mapConcurrently(batches, BATCHES_AT_ONCE, async (batch) => {
    for (const position of await repeatedOnce(() => insertBatch(collection, batch))) {
      const { unique_id, digest } = batch[position] as IndexRecord;
      inserted.add(unique_id);
      digests?.set(unique_id, digest);
    }
    if (!digests) return;
    const there = batch.map(({ unique_id }) => unique_id).filter((id) => !inserted.has(id));
    for (const { _id, digest } of await repeatedOnce(() => storedDigests(collection, there))) digests.set(_id, digest);
  });
  return inserted;
}

/** Positions of the records that were new. */
async function insertBatch(collection: Records, batch: readonly IndexRecord[]): Promise<number[]> {
  const writes = batch.map(
    (record): AnyBulkWriteOperation<RecordDocument> => ({
      updateOne: { filter: { _id: record.unique_id }, update: { $setOnInsert: documentOf(record) as object }, upsert: true },
    }),
  );
  try {
    return Object.keys((await collection.bulkWrite(writes, { ordered: false })).upsertedIds).map(Number);
  } catch (error) {
    if (!(error instanceof MongoBulkWriteError) || !isOnlyRepeats(error)) throw error;
    return Object.keys(error.upsertedIds).map(Number);
  }
}

/** Of two writers that insert the same at once, one is told that it is there. */
function isOnlyRepeats({ writeErrors, result }: MongoBulkWriteError): boolean {
  const errors = [writeErrors].flat();
  return errors.length > 0 && errors.every(({ code }) => code === DUPLICATE_KEY) && result.getWriteConcernError() === undefined;
}

function storedDigests(collection: Records, ids: readonly string[]): Promise<Pick<RecordDocument, "_id" | "digest">[]> {
  if (ids.length === 0) return Promise.resolve([]);
  return collection.find({ _id: { $in: [...ids] } }, { projection: { digest: 1 }, readPreference: "primary" }).toArray();
}
