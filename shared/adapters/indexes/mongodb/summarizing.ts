import type { Document } from "mongodb";
import type { Filter } from "../../../core/filter/ast.ts";
import type { IndexSummary } from "../../../core/ports/metadata-index.ts";
import { compareUtf8 } from "../../../core/text.ts";
import type { KnownCollection } from "./collections.ts";
import { planFind } from "./plan.ts";
import type { Prober } from "./probe.ts";

/** A summary of nothing. */
export const NO_RECORDS: IndexSummary = { count: 0, bytes: 0, objects: 0 };

/** Where a part of the filter has more hits than this, the server chooses the index. */
const FEW_HITS = 2000;

interface Group {
  _id: { start: number; broker_id: string } | null;
  count: number;
  bytes: number;
  first: Date;
  last: Date;
  objects?: number;
}

/** The sums of all records that match, of each bucket where `bucketMs` is given. */
export async function sumUp(known: KnownCollection, filter: Filter, bucketMs: number | undefined, prober: Prober): Promise<IndexSummary[]> {
  const { query, hint } = await planFind(known, { filter, fewHits: FEW_HITS }, prober);
  const stages = bucketMs === undefined ? total() : buckets(bucketMs);
  const cursor = known.collection.aggregate<Group>([{ $match: query }, ...stages], hint ? { hint } : {});
  const summaries = (await cursor.toArray()).map(summaryOf);
  if (bucketMs === undefined) return summaries.length > 0 ? summaries : [NO_RECORDS];
  return summaries.sort((a, b) => (a.start ?? 0) - (b.start ?? 0) || compareUtf8(a.broker_id ?? "", b.broker_id ?? ""));
}

const SUMS: Document = {
  count: { $sum: 1 },
  bytes: { $sum: "$payload_size" },
  first: { $min: "$publish_time" },
  last: { $max: "$publish_time" },
};

/** By object first, so that objects are counted without a set of them in one document. */
function total(): Document[] {
  const perObject = { $group: { _id: { store: "$store", location_key: "$location_key" }, ...SUMS } };
  const sums = { count: { $sum: "$count" }, bytes: { $sum: "$bytes" }, first: { $min: "$first" }, last: { $max: "$last" } };
  return [perObject, { $group: { _id: null, ...sums, objects: { $sum: 1 } } }];
}

/** Plain arithmetic, since not every server has functions of dates. The remainder has the sign of the time, hence twice. */
function buckets(bucketMs: number): Document[] {
  const ms = { $subtract: ["$publish_time", new Date(0)] };
  const offset = { $mod: [{ $add: [{ $mod: [ms, bucketMs] }, bucketMs] }, bucketMs] };
  return [{ $group: { _id: { start: { $subtract: [ms, offset] }, broker_id: "$broker_id" }, ...SUMS } }];
}

function summaryOf({ _id, count, bytes, first, last, objects }: Group): IndexSummary {
  const summary: IndexSummary = { count, bytes, first_publish_time: first.getTime(), last_publish_time: last.getTime() };
  if (objects !== undefined) summary.objects = objects;
  return _id ? { start: _id.start, broker_id: _id.broker_id, ...summary } : summary;
}
