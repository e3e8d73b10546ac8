import type { Filter } from "../../../core/filter/ast.ts";
import type { IndexPosition } from "../../../core/ports/metadata-index.ts";
import { type Candidate, candidatesOf, conjuncts, isWalk, namesBroker, timeCandidate } from "./candidates.ts";
import { INDEXES, type IndexName, type KnownCollection } from "./collections.ts";
import { compileFilter, NOTHING, type RecordQuery } from "./compile.ts";
import type { Prober } from "./probe.ts";

export interface PlanRequest {
  filter: Filter;
  /** Absent: in any order. */
  order?: IndexPosition["order"];
  /** As many hits are cheaper to look up and sort than to walk the order until the page is full. */
  fewHits: number;
}

/** What to ask the server, and by which of its indexes; without one it is left to the server. */
export interface Plan {
  query: RecordQuery;
  hint?: IndexName;
}

/** Of an `any` with more branches than this, they are not looked up one by one. */
const MAX_BRANCHES = 200;
/** Most ids that are looked up for an `any`. */
const MAX_IDS = 5000;

/**
 * Chooses the index instead of leaving it to the server, whose planner takes the order's index even where an attribute has five hits (MongoDB's
 * own tries plans out, others do not). Where some part of the filter has few hits they are looked up and sorted; where all have many, the order is walked.
 */
export async function planFind(known: KnownCollection, { filter, order, fewHits }: PlanRequest, prober: Prober): Promise<Plan> {
  const parts = conjuncts(filter);
  const query = compileFilter({ op: "all", of: parts });
  const usable = (index: IndexName | undefined) => (index !== undefined && known.indexes.has(index) ? index : undefined);
  const walked = usable(walkIndex(parts, order));
  if (order !== "source" && isWalk(parts)) return { query, hint: walked };
  const best = await bestCandidate(known, parts, { fewHits, order }, prober);
  if (best) return { query, hint: best.candidate.index };
  const ids = await idsOfBranches(known, parts, Math.min(fewHits, MAX_IDS), prober);
  if (!ids) return { query, hint: walked };
  return ids.length === 0 ? { query: NOTHING } : { query: { $and: [{ _id: { $in: ids } }, query] }, hint: INDEXES.id };
}

/** The index that has the order asked; none where no order is. */
function walkIndex(parts: readonly Filter[], order: PlanRequest["order"]): IndexName | undefined {
  if (order === undefined) return undefined;
  if (order === "source") return INDEXES.source;
  return namesBroker(parts) ? INDEXES.broker : INDEXES.time;
}

interface Best {
  candidate: Candidate;
  count: number;
}

/** The candidate with the fewest hits, if there is one with at most `fewHits`. */
async function bestCandidate(
  known: KnownCollection,
  parts: readonly Filter[],
  { fewHits, order }: Omit<PlanRequest, "filter">,
  prober: Prober,
): Promise<Best | undefined> {
  const candidates = candidatesOf(parts);
  // In order of time a short range is walked anyway.
  const range = order === "publish" ? undefined : timeCandidate(parts);
  if (range) candidates.unshift(range);
  const usable = candidates.filter(({ index }) => known.indexes.has(index));
  const exact = usable.find(({ index }) => index === INDEXES.id);
  if (exact) return { candidate: exact, count: valuesOf(exact.part) };
  const counts = await prober.count(known, usable, fewHits);
  const few = usable.map((candidate, i): Best => ({ candidate, count: counts[i] ?? Number.POSITIVE_INFINITY }));
  return few.filter(({ count }) => count <= fewHits).sort((a, b) => a.count - b.count)[0];
}

function valuesOf(part: Filter): number {
  return "values" in part ? part.values.length : 1;
}

/**
 * The ids of all records that match some `any` among the parts, where each of its branches has few: one index answers one branch, so that no
 * hint would do for all. Undefined where there is no such part.
 */
async function idsOfBranches(
  known: KnownCollection,
  parts: readonly Filter[],
  limit: number,
  prober: Prober,
): Promise<string[] | undefined> {
  if (!known.indexes.has(INDEXES.id)) return undefined;
  for (const part of parts) {
    if (part.op !== "any" || part.of.length > MAX_BRANCHES) continue;
    const branches: { query: RecordQuery; hint: IndexName }[] = [];
    let left = limit;
    for (const branch of part.of) {
      const best = await bestCandidate(known, conjuncts(branch), { fewHits: left }, prober);
      if (!best) break;
      left -= best.count;
      branches.push({ query: compileFilter(branch), hint: best.candidate.index });
    }
    if (branches.length === part.of.length) return prober.ids(known, branches);
  }
  return undefined;
}
