import type { FindCursor } from "mongodb";
import type { IndexRecord } from "../../../core/index-record.ts";
import type { FindOptions } from "../../../core/ports/metadata-index.ts";
import { type KnownCollection, SORTS } from "./collections.ts";
import { allOf, behind } from "./compile.ts";
import { READ_PLACES, type RecordDocument, recordOf, UNREAD } from "./documents.ts";
import { type Plan, planFind } from "./plan.ts";
import type { Prober } from "./probe.ts";
import type { Walks } from "./walks.ts";

/** Records of one answer of the server: what is held twice, as documents and as records, is no more. */
const ANSWER_RECORDS = 2000;

/** So many hits are always few, and more are never. */
const LEAST_FEW_HITS = 1000;
const MOST_FEW_HITS = 10_000;
/** What asking an index about one hit costs, measured in records walked. */
const PROBE_COST = 4;

/** Pages of at least so many places are taken to be parts of a walk. */
const WALK_RECORDS = 500;

/** What `find` asks with besides the collection. */
export interface Reading {
  prober: Prober;
  walks: Walks;
}

/** One page of `find`, in its order. */
export async function findRecords(known: KnownCollection, options: FindOptions, { prober, walks }: Reading): Promise<IndexRecord[]> {
  const { filter, order, after, offset = 0, limit, withoutAttributes = false } = options;
  // A walk looks at records / hits for each of the page, a lookup at all hits: equal where hits² = page × records.
  const equalHits = Math.floor(Math.sqrt((limit + offset) * known.records) / PROBE_COST);
  const fewHits = Math.min(MOST_FEW_HITS, Math.max(LEAST_FEW_HITS, equalHits));
  const plan: Plan = await planFind(known, { filter, order, fewHits }, prober);
  const query = after ? allOf([behind(after), plan.query]) : plan.query;
  const asked = { sort: SORTS[order], skip: offset, projection: withoutAttributes ? READ_PLACES : UNREAD, hint: plan.hint };
  // Without an index that fits, the server would sort all that is left in memory.
  if (withoutAttributes && limit >= WALK_RECORDS && plan.hint !== undefined) {
    const open = () => known.collection.find(query, { ...asked, batchSize: ANSWER_RECORDS });
    return walks.page(known.collection.collectionName, options, open);
  }
  return collected(known.collection.find(query, { ...asked, limit, batchSize: Math.min(limit, ANSWER_RECORDS) }));
}

/** The records of these ids that exist. */
export function getRecords({ collection }: KnownCollection, ids: readonly string[]): Promise<IndexRecord[]> {
  return collected(collection.find({ _id: { $in: [...new Set(ids)] } }, { batchSize: ANSWER_RECORDS, projection: UNREAD }));
}

async function collected(cursor: FindCursor<RecordDocument>): Promise<IndexRecord[]> {
  const records: IndexRecord[] = [];
  try {
    while (await cursor.hasNext()) for (const document of cursor.readBufferedDocuments()) records.push(recordOf(document));
  } finally {
    await cursor.close();
  }
  return records;
}
