import type { SQLInputValue } from "node:sqlite";
import type { Comparison, Filter } from "../../../core/filter/ast.ts";
import { type CompileContext, cellOf } from "./compile.ts";
import { REPEATED_MARK } from "./index-schema.ts";
import { concat, type Sql, sql } from "./sql.ts";

/** Publish times looked at: from `from`, before `before`, in milliseconds. */
export interface TimeBounds {
  from: number;
  before: number;
}

export const UNBOUNDED: TimeBounds = { from: Number.NEGATIVE_INFINITY, before: Number.POSITIVE_INFINITY };

/** Selects `id` of records, among them all that match the part of the filter it was made of. */
export type Candidate = readonly Sql[];

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
  if (term.op === "$exists")
    return term.exists && term.field.kind === "attribute" ? attributeCandidate(term.field.name, sql(""), bounds, context) : undefined;
  if (term.op !== "$eq" && term.op !== "$in") return undefined;
  const list = "value" in term ? sql("= ?", cellOf(term.value)) : concat(" ", sql("IN"), context.listOf(term.values));
  if (term.field.kind === "attribute") return attributeCandidate(term.field.name, concat("", sql(" AND v "), list), bounds, context);
  const { collection } = context;
  switch (term.field.name) {
    case "unique_id":
      return [concat(" ", sql("SELECT id FROM record INDEXED BY record_by_id WHERE collection = ? AND unique_id", collection), list)];
    case "location_key":
      return [
        concat(
          "",
          sql("SELECT id FROM record INDEXED BY record_by_object WHERE collection = ? AND object IN ", collection),
          sql("(SELECT o.id FROM object o WHERE o.collection = ? AND o.location_key ", collection),
          list,
          sql(")"),
        ),
      ];
    case "broker_id":
      return [
        concat(
          "",
          sql("SELECT id FROM record INDEXED BY record_by_broker WHERE collection = ? AND broker_id ", collection),
          list,
          within("publish_time", bounds),
        ),
      ];
    default:
      return undefined;
  }
}

function attributeCandidate(name: string, condition: Sql, bounds: TimeBounds, context: CompileContext): Candidate {
  const k = context.keyOf(name);
  if (k === undefined) return [];
  return [concat("", sql("SELECT record AS id FROM attribute WHERE k = ?", k), condition, within("publish_time", bounds))];
}

interface Range {
  name: string;
  type: "number" | "text";
  lower?: Sql;
  upper?: Sql;
}

/** One candidate per attribute and type of operand, of all bounds there are. */
function rangeCandidates(parts: readonly Filter[], bounds: TimeBounds, context: CompileContext): Candidate[] {
  const ranges = new Map<string, Range>();
  for (const part of parts) {
    if (!("field" in part) || part.field.kind !== "attribute" || !("value" in part)) continue;
    if (part.op === "$eq" || part.op === "$ne") continue;
    const { name } = part.field;
    const type = typeof part.value === "number" ? "number" : "text";
    const range = ranges.get(`${type} ${name}`) ?? { name, type };
    ranges.set(`${type} ${name}`, withBound(range, part.op, cellOf(part.value)));
  }
  return [...ranges.values()].map((range) => rangeCandidate(range, bounds, context));
}

/** A second bound on the same side is left to the whole condition. */
function withBound(range: Range, op: Exclude<Comparison, "$eq" | "$ne">, value: SQLInputValue): Range {
  switch (op) {
    case "$gt":
      return { ...range, lower: range.lower ?? sql(" AND v > ?", value) };
    case "$gte":
      return { ...range, lower: range.lower ?? sql(" AND v >= ?", value) };
    case "$lt":
      return { ...range, upper: range.upper ?? sql(" AND v < ?", value) };
    case "$lte":
      return { ...range, upper: range.upper ?? sql(" AND v <= ?", value) };
  }
}

/** Numbers sort before texts and texts before blobs, so that a range without a bound ends where the next type begins. */
function rangeCandidate({ name, type, lower, upper }: Range, bounds: TimeBounds, context: CompileContext): Candidate {
  const start = lower ?? (type === "text" ? sql(" AND v >= ''") : sql(""));
  const end = upper ?? (type === "text" ? sql(" AND v < x''") : sql(" AND v < ''"));
  const between = attributeCandidate(name, concat("", start, end), bounds, context);
  if (!lower || !upper) return between;
  // Of a name that repeats, one value may be above the lower bound and another below the upper: such records are looked at all.
  return [...between, ...attributeCandidate(name, sql(" AND v = ?", REPEATED_MARK), bounds, context)];
}
