import { MongoClient } from "mongodb";
import type { Measure } from "../../lib/child.ts";
import { inLanes } from "../../lib/timing.ts";

/** Documents to be upserted, twice. */
export interface UpsertOrder {
  uri: string;
  database: string;
  /** A collection whose documents are taken as they are stored. */
  from: string;
  count: number;
}

export interface Upserted {
  /** Into an empty collection. */
  newMs: number;
  /** All are there already. */
  repeatedMs: number;
}

const DOCUMENTS_PER_CALL = 1_000;
const CALLS_IN_FLIGHT = 4;
const INTO = "bare";

/** Upserts by the driver, unordered, 1,000 a call and four calls at a time; reading the documents is not counted. */
export const measure: Measure<UpsertOrder, Upserted> = async ({ uri, database, from, count }) => {
  const client = await new MongoClient(uri).connect();
  const db = client.db(database);
  const documents = await db.collection<{ _id: string }>(from).find().limit(count).toArray();
  if (documents.length !== count) throw new Error(`upserting bare: ${documents.length} documents are there to be taken, not ${count}`);
  const upsertAll = async () => {
    const startMs = performance.now();
    await inLanes(CALLS_IN_FLIGHT, Math.ceil(count / DOCUMENTS_PER_CALL), async (i) => {
      const some = documents.slice(i * DOCUMENTS_PER_CALL, (i + 1) * DOCUMENTS_PER_CALL);
      const writes = some.map(({ _id, ...fields }) => ({ updateOne: { filter: { _id }, update: { $setOnInsert: fields }, upsert: true } }));
      await db.collection<{ _id: string }>(INTO).bulkWrite(writes, { ordered: false });
    });
    return performance.now() - startMs;
  };
  const newMs = await upsertAll();
  const repeatedMs = await upsertAll();
  const stored = await db.collection(INTO).countDocuments();
  if (stored !== count) throw new Error(`upserting bare: ${stored} documents are there, not ${count}`);
  await client.close();
  return { newMs, repeatedMs };
};
