import { mapConcurrently } from "../../../core/concurrency.ts";
import type { Candidate } from "./candidates.ts";
import type { IndexName, KnownCollection } from "./collections.ts";
import { compileFilter, type RecordQuery } from "./compile.ts";

/** Asks indexes how much they hold. */
export interface Prober {
  /** Hits of each candidate, counted up to `limit + 1`; those that are likely of no use are not asked: undefined. */
  count(known: KnownCollection, candidates: readonly Candidate[], limit: number): Promise<(number | undefined)[]>;
  /** Ids of all records that match one of the queries, each looked up by its index. */
  ids(known: KnownCollection, queries: readonly { query: RecordQuery; hint: IndexName }[]): Promise<string[]>;
}

/** Candidates asked for one question. */
const MAX_PROBES = 4;
const CONCURRENCY = 4;

/** How long a count is believed: a walk's pages come one after the other. A stale one costs time only. */
const COUNT_TTL_MS = 30_000;
const MAX_COUNTS = 500;
/** Longer filters, such as lists, are not worth their memory. */
const MAX_KEY_LENGTH = 2000;

interface Counted {
  count: number;
  /** Up to which number was counted. */
  limit: number;
  atMs: number;
}

export function createProber(): Prober {
  const counted = new Map<string, Counted>();
  const countOf = async ({ collection }: KnownCollection, { part, index }: Candidate, limit: number): Promise<number> => {
    const key = JSON.stringify([collection.collectionName, part]);
    const before = counted.get(key);
    if (before && answers(before, limit)) return before.count;
    const count = await collection.countDocuments(compileFilter(part), { limit: limit + 1, hint: index });
    if (key.length > MAX_KEY_LENGTH) return count;
    if (counted.size >= MAX_COUNTS) counted.clear();
    counted.set(key, { count, limit, atMs: performance.now() });
    return count;
  };
  return {
    async count(known, candidates, limit) {
      const counts = await mapConcurrently(candidates.slice(0, MAX_PROBES), CONCURRENCY, (candidate) => countOf(known, candidate, limit));
      return candidates.map((_, i) => counts[i]);
    },
    async ids({ collection }, queries) {
      const found = await mapConcurrently(queries, CONCURRENCY, ({ query, hint }) =>
        collection.find(query, { projection: { _id: 1 }, hint }).toArray(),
      );
      return [...new Set(found.flat().map(({ _id }) => _id))];
    },
  };
}

/** A count that stopped at its limit says no more than that there are more. */
function answers({ count, limit, atMs }: Counted, wanted: number): boolean {
  if (performance.now() - atMs > COUNT_TTL_MS) return false;
  return count <= limit || limit >= wanted;
}
