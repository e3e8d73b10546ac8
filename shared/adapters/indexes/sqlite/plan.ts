import type { Comparison, Filter } from "../../../core/filter/ast.ts";
import type { IndexPosition } from "../../../core/ports/metadata-index.ts";
import { type Candidate, candidatesOf, conjuncts, narrowed, type TimeBounds, UNBOUNDED, within } from "./candidates.ts";
import { type CompileContext, cellOf, compileFilter } from "./compile.ts";
import { concat, FALSE, join, type Sql, sql, TRUE } from "./sql.ts";

/** What planning needs of the database besides. */
export interface PlanContext extends CompileContext {
  /** How many ids the candidate selects, counted up to `limit + 1`. */
  probe(candidate: Candidate, limit: number): number;
}

export interface PlanRequest {
  filter: Filter;
  order: IndexPosition["order"];
  after?: IndexPosition;
  /** As many hits are cheaper to gather and sort than to walk the order until the page is full. */
  gatherLimit: number;
}

/** `FROM … WHERE …` over `record r`, and whether its rows come in the order asked by themselves. */
export interface Plan {
  source: Sql;
  isWalk: boolean;
}

/**
 * Chooses the way to the records instead of leaving it to SQLite, whose planner has no statistics and takes the order's index even where an
 * attribute has five hits: each usable index is asked how many records it would give, stopping at a limit. The smallest below that limit is gathered and
 * sorted; where all give more, an index that has the order is walked until the page is full.
 */
export function planFind({ filter, order, after, gatherLimit }: PlanRequest, context: PlanContext): Plan {
  const parts = conjuncts(filter);
  const bounds = behind(narrowed(UNBOUNDED, parts), after);
  const behindPosition = after ? positionCondition(after) : TRUE;
  const best = bestCandidate(parts, bounds, gatherLimit, order === "source", context);
  if (best) return { source: gathered(best.candidate, parts, behindPosition, context), isWalk: false };
  if (order === "source") return { source: walkSource(filter, behindPosition, context), isWalk: true };
  return { source: walkTime(parts, bounds, after, context), isWalk: true };
}

/** The way to all records that match, in any order: the index with the fewest, or all of the collection. */
export function planAll(filter: Filter, gatherLimit: number, context: PlanContext): Sql {
  const parts = conjuncts(filter);
  const bounds = narrowed(UNBOUNDED, parts);
  const best = bestCandidate(parts, bounds, gatherLimit, false, context);
  if (best) return gathered(best.candidate, parts, TRUE, context);
  return walkTime(parts, bounds, undefined, context);
}

function behind(bounds: TimeBounds, after: IndexPosition | undefined): TimeBounds {
  return after?.order === "publish" ? { ...bounds, from: Math.max(bounds.from, after.publish_time) } : bounds;
}

interface Best {
  candidate: Candidate;
  count: number;
}

/** The candidate with the fewest ids, if there is one with at most `limit`. A walk of broker or time needs no probe where there is nothing else. */
function bestCandidate(
  parts: readonly Filter[],
  bounds: TimeBounds,
  limit: number,
  isOtherOrder: boolean,
  context: PlanContext,
): Best | undefined {
  if (!isOtherOrder && parts.every(isWalked)) return undefined;
  let best: Best | undefined;
  const consider = (candidate: Candidate | undefined) => {
    if (!candidate) return;
    const most = best ? best.count - 1 : limit;
    if (most < 0) return;
    const count = context.probe(candidate, most);
    if (count <= most) best = { candidate, count };
  };
  for (const candidate of candidatesOf(parts, bounds, context)) consider(candidate);
  for (const part of parts) if (part.op === "any") consider(unionCandidate(part, bounds, limit, context));
  if (Number.isFinite(bounds.from) || Number.isFinite(bounds.before))
    consider({ selections: [timeCandidate(bounds, context)], covers: [] });
  return best;
}

function isWalked(part: Filter): boolean {
  if (!("field" in part) || part.field.kind !== "record") return false;
  return part.field.name === "publish_time" || (part.field.name === "broker_id" && part.op === "$eq");
}

function timeCandidate(bounds: TimeBounds, { collection }: PlanContext): Sql {
  return concat(
    "",
    sql("SELECT id FROM record INDEXED BY record_by_time WHERE collection = ?", collection),
    within("publish_time", bounds),
  );
}

/** SQLite joins at most 500 selections. */
const MAX_UNION = 200;

/** The best candidates of all branches of an `any` together; undefined where one has none, or they are too many. */
function unionCandidate(
  any: Extract<Filter, { op: "all" | "any" }>,
  bounds: TimeBounds,
  limit: number,
  context: PlanContext,
): Candidate | undefined {
  if (any.of.length > MAX_UNION) return undefined;
  const selections: Sql[] = [];
  let isCovered = true;
  let left = limit;
  for (const branch of any.of) {
    const parts = conjuncts(branch);
    const best = bestCandidate(parts, narrowed(bounds, parts), left, true, context);
    if (!best) return undefined;
    left -= best.count;
    selections.push(...best.candidate.selections);
    isCovered &&= parts.every((part) => best.candidate.covers.includes(part));
  }
  return selections.length <= MAX_UNION ? { selections, covers: isCovered ? [any] : [] } : undefined;
}

/** `CROSS JOIN` keeps the gathered ids outside and `NOT INDEXED` has each record fetched by its id. */
function gathered({ selections, covers }: Candidate, parts: readonly Filter[], behindPosition: Sql, context: PlanContext): Sql {
  const ids = selections.length === 0 ? sql("SELECT 0 AS id WHERE 0") : concat(" UNION ", ...selections);
  const distinct = selections.length === 1 ? concat("", sql("SELECT DISTINCT id FROM ("), ids, sql(")")) : ids;
  const from = sql(") h CROSS JOIN record r NOT INDEXED ON r.id = h.id WHERE r.collection = ? AND ", context.collection);
  const rest = compileFilter({ op: "all", of: parts.filter((part) => !covers.includes(part)) }, context);
  return concat("", sql("FROM ("), distinct, from, join("AND", [behindPosition, rest]));
}

function walkSource(filter: Filter, behindPosition: Sql, context: PlanContext): Sql {
  const from = sql("FROM record r INDEXED BY record_by_source WHERE r.collection = ? AND ", context.collection);
  return concat("", from, join("AND", [behindPosition, compileFilter(filter, context)]));
}

type Equality = Extract<Filter, { op: Comparison }> & { op: "$eq" };

/** Walks the narrowest order by publish time: of one attribute's value, of one broker, or of the collection. */
function walkTime(parts: readonly Filter[], bounds: TimeBounds, after: IndexPosition | undefined, context: PlanContext): Sql {
  const equality = parts.find((part): part is Equality => part.op === "$eq" && part.field.kind === "attribute");
  const rest = (walked: Filter | undefined) => compileFilter({ op: "all", of: parts.filter((part) => part !== walked) }, context);
  if (equality) return walkAttribute(equality, rest(equality), bounds, after, context);
  const broker = parts.find(
    (part): part is Equality => part.op === "$eq" && part.field.kind === "record" && part.field.name === "broker_id",
  );
  const from = broker
    ? sql("FROM record r INDEXED BY record_by_broker WHERE r.collection = ? AND r.broker_id = ?", context.collection, cellOf(broker.value))
    : sql("FROM record r INDEXED BY record_by_time WHERE r.collection = ?", context.collection);
  return concat("", from, start("r.publish_time", bounds, after), sql(" AND "), rest(broker));
}

function walkAttribute(
  { field, value }: Equality,
  rest: Sql,
  bounds: TimeBounds,
  after: IndexPosition | undefined,
  context: PlanContext,
): Sql {
  const k = context.keyOf(field.name);
  if (k === undefined) return concat("", sql("FROM record r WHERE "), FALSE);
  const from = sql("FROM attribute a CROSS JOIN record r NOT INDEXED ON r.id = a.record WHERE a.k = ? AND a.v = ?", k, cellOf(value));
  const position = after ? positionCondition(after) : TRUE;
  return concat("", from, within("a.publish_time", bounds), sql(" AND "), join("AND", [position, rest]));
}

/** Of two lower bounds SQLite would seek by one and test the other on every row: only the position's is given where it is the later. */
function start(column: string, bounds: TimeBounds, after: IndexPosition | undefined): Sql {
  if (!after || bounds.from > after.publish_time) return within(column, bounds);
  return concat("", within(column, { ...bounds, from: Number.NEGATIVE_INFINITY }), sql(" AND "), positionCondition(after));
}

function positionCondition(after: IndexPosition): Sql {
  const { publish_time, unique_id } = after;
  if (after.order === "publish") return sql("(r.publish_time, r.unique_id) > (?, ?)", publish_time, unique_id);
  return sql(
    "(r.source_key, r.sequence_rank, r.publish_time, r.unique_id) > (?, ?, ?, ?)",
    after.source_key,
    BigInt(after.sequence),
    publish_time,
    unique_id,
  );
}

/** `ORDER BY` of an order. With an attribute's walk SQLite takes the publish time from there. */
export function orderBy(order: IndexPosition["order"], plan: Plan): string {
  if (order === "source") return "ORDER BY r.source_key, r.sequence_rank, r.publish_time, r.unique_id";
  return plan.source.text.startsWith("FROM attribute a") ? "ORDER BY a.publish_time, r.unique_id" : "ORDER BY r.publish_time, r.unique_id";
}
