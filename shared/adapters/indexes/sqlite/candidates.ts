import type { SQLInputValue } from "node:sqlite";
import type { Comparison, Filter, RecordField } from "../../../core/filter/ast.ts";
import { type CompileContext, cellOf } from "./compile.ts";
import { REPEATED_MARK } from "./index-schema.ts";
import { concat, type Sql, sql } from "./sql.ts";

/** Publish times looked at: from `from`, before `before`, in milliseconds. */
export interface TimeBounds {
  from: number;
  before: number;
}

export const UNBOUNDED: TimeBounds = { from: Number.NEGATIVE_INFINITY, before: Number.POSITIVE_INFINITY };

/** A way to find records by one index. */
export interface Candidate {
  /** Each selects `id` of records; together at least all that match the part of the filter that this was made of. */
  selections: readonly Sql[];
  /** Parts of the filter that hold for exactly these records, so that they need not be tested again. */
  covers: readonly Filter[];
}

/** All parts of a filter that must hold, nested `all` taken apart. */
export function conjuncts(filter: Filter): Filter[] {
  return filter.op === "all" ? filter.of.flatMap(conjuncts) : [filter];
}

/** `bounds` narrowed by what the parts say of the publish time. */
export function narrowed(bounds: TimeBounds, parts: readonly Filter[]): TimeBounds {
  let { from, before } = bounds;
  for (const part of parts) {
    if (!("field" in part) || part.field.name !== "publish_time" || part.field.kind !== "record" || !("value" in part)) continue;
    const time = part.value as number;
    if (part.op === "$gte" || part.op === "$eq") from = Math.max(from, time);
    if (part.op === "$gt") from = Math.max(from, time + 1);
    if (part.op === "$lt") before = Math.min(before, time);
    if (part.op === "$lte" || part.op === "$eq") before = Math.min(before, time + 1);
  }
  return { from, before };
}

/** The condition that the column `column` lies within `bounds`, to be put behind others. */
export function within(column: string, { from, before }: TimeBounds): Sql {
  const lower = Number.isFinite(from) ? sql(` AND ${column} >= ?`, from) : sql("");
  const upper = Number.isFinite(before) ? sql(` AND ${column} < ?`, before) : sql("");
  return concat("", lower, upper);
}

/** Ways to find the records that match all of `parts` other than by walking an order: each by one index. */
export function candidatesOf(parts: readonly Filter[], bounds: TimeBounds, context: CompileContext): Candidate[] {
  const candidates: Candidate[] = [];
  for (const part of parts) {
    const candidate = "field" in part ? termCandidate(part, bounds, context) : undefined;
    if (candidate) candidates.push(candidate);
  }
  return [...candidates, ...rangeCandidates(parts, bounds, context)];
}

type Term = Extract<Filter, { field: unknown }>;

function termCandidate(term: Term, bounds: TimeBounds, context: CompileContext): Candidate | undefined {
  const { field } = term;
  if (field.kind === "attribute" && term.op === "$exists" && term.exists)
    return covering([term], attributeSelection(field.name, sql(""), bounds, context));
  if (term.op !== "$eq" && term.op !== "$in") return undefined;
  const list = "value" in term ? sql("= ?", cellOf(term.value)) : concat(" ", sql("IN"), context.listOf(term.values));
  if (field.kind === "attribute")
    return covering([term], attributeSelection(field.name, concat("", sql(" AND v "), list), bounds, context));
  const selection = recordSelection(field.name, list, bounds, context.collection);
  return selection && covering([term], [selection]);
}

function covering(covers: readonly Filter[], selections: readonly Sql[]): Candidate {
  return { covers, selections };
}

function recordSelection(name: RecordField, list: Sql, bounds: TimeBounds, collection: number): Sql | undefined {
  switch (name) {
    case "unique_id":
      return concat(" ", sql("SELECT id FROM record INDEXED BY record_by_id WHERE collection = ? AND unique_id", collection), list);
    case "location_key": {
      const records = sql("SELECT id FROM record INDEXED BY record_by_object WHERE collection = ? AND object IN ", collection);
      return concat("", records, sql("(SELECT o.id FROM object o WHERE o.collection = ? AND o.location_key ", collection), list, sql(")"));
    }
    case "broker_id": {
      const records = sql("SELECT id FROM record INDEXED BY record_by_broker WHERE collection = ? AND broker_id ", collection);
      return concat("", records, list, within("publish_time", bounds));
    }
    default:
      return undefined;
  }
}

function attributeSelection(name: string, condition: Sql, bounds: TimeBounds, context: CompileContext): Sql[] {
  const k = context.keyOf(name);
  if (k === undefined) return [];
  return [concat("", sql("SELECT record AS id FROM attribute WHERE k = ?", k), condition, within("publish_time", bounds))];
}

interface Range {
  name: string;
  type: "number" | "text";
  lower?: Sql;
  upper?: Sql;
  parts: Filter[];
}

/** One candidate per attribute and type of operand, of all bounds there are. */
function rangeCandidates(parts: readonly Filter[], bounds: TimeBounds, context: CompileContext): Candidate[] {
  const ranges = new Map<string, Range>();
  for (const part of parts) {
    if (!("field" in part) || part.field.kind !== "attribute" || !("value" in part)) continue;
    if (part.op === "$eq" || part.op === "$ne") continue;
    const { name } = part.field;
    const type = typeof part.value === "number" ? "number" : "text";
    const range = ranges.get(`${type} ${name}`) ?? { name, type, parts: [] };
    ranges.set(`${type} ${name}`, withBound(range, part.op, cellOf(part.value), part));
  }
  return [...ranges.values()].map((range) => rangeCandidate(range, bounds, context));
}

/** A second bound on the same side is left to be tested. */
function withBound(range: Range, op: Exclude<Comparison, "$eq" | "$ne">, value: SQLInputValue, part: Filter): Range {
  const side = op === "$gt" || op === "$gte" ? "lower" : "upper";
  if (range[side]) return range;
  const sign = { $gt: ">", $gte: ">=", $lt: "<", $lte: "<=" }[op];
  return { ...range, [side]: sql(` AND v ${sign} ?`, value), parts: [...range.parts, part] };
}

/** Numbers sort before texts and texts before blobs, so that a range without a bound ends where the next type begins. */
function rangeCandidate({ name, type, lower, upper, parts }: Range, bounds: TimeBounds, context: CompileContext): Candidate {
  const start = lower ?? (type === "text" ? sql(" AND v >= ''") : sql(""));
  const end = upper ?? (type === "text" ? sql(" AND v < x''") : sql(" AND v < ''"));
  const between = attributeSelection(name, concat("", start, end), bounds, context);
  if (!lower || !upper || !context.isRepeated(name)) return covering(parts, between);
  // Of a name that repeats, one value may be above the lower bound and another below the upper: all such records are tested.
  return covering([], [...between, ...attributeSelection(name, sql(" AND v = ?", REPEATED_MARK), bounds, context)]);
}
