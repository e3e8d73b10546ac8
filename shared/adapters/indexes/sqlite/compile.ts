import type { SQLInputValue } from "node:sqlite";
import type { Comparison, Filter, Operand, RecordField } from "../../../core/filter/ast.ts";
import { operandText } from "../../../core/filter/evaluate.ts";
import { FALSE, join, not, type Sql, sql, TRUE } from "./sql.ts";

/** What compiling a filter needs of the database it is for. */
export interface CompileContext {
  collection: number;
  /** The id of an attribute's name; undefined where no record of the collection has it. */
  keyOf(name: string): number | undefined;
  /** Whether some record of the collection has the attribute more than once. */
  isRepeated(name: string): boolean;
  /** Puts values where SQL can read them; returns what to write behind `IN`. */
  listOf(values: readonly Operand[]): Sql;
  /** Has `filter` put to each record in JavaScript; returns the call. */
  callOf(filter: Filter): Sql;
}

/** Up to this many values are looked up one by one for each record; where there are more, JavaScript is quicker. */
const MAX_PROBES = 16;

const SQL_OPERATORS: Readonly<Record<Exclude<Comparison, "$eq" | "$ne">, string>> = { $gt: ">", $gte: ">=", $lt: "<", $lte: "<=" };

/**
 * A condition on `record r` that is 1 where the filter matches and 0 where not, never null.
 * An attribute's equality is one look into the attribute table; all else about attributes has no place there to look at for one record, so it
 * is left to the reference evaluator, which also makes the semantics one.
 */
export function compileFilter(filter: Filter, context: CompileContext): Sql {
  switch (filter.op) {
    case "all":
      return compileAll(filter, context);
    case "any":
      if (attributeTerms(filter) > MAX_PROBES) return context.callOf(filter);
      return join(
        "OR",
        filter.of.map((part) => compileFilter(part, context)),
      );
    case "not":
      return not(compileFilter(filter.of, context));
    default:
      if (filter.field.kind === "record") return compileRecordTerm(filter, filter.field.name, context);
      return compileAttributeTerm(filter, filter.field.name, context);
  }
}

/** What goes to JavaScript goes there in one call, and last: by then most records are out. */
function compileAll(filter: Extract<Filter, { op: "all" | "any" }>, context: CompileContext): Sql {
  const isLarge = attributeTerms(filter) > MAX_PROBES;
  const isCalled = (part: Filter) => (isLarge ? attributeTerms(part) > 0 : isUnprobedTerm(part, context));
  const called = filter.of.filter(isCalled);
  const compiled = filter.of.filter((part) => !isCalled(part)).map((part) => compileFilter(part, context));
  const [only] = called;
  if (only) compiled.push(context.callOf(called.length === 1 ? only : { op: "all", of: called }));
  return join("AND", compiled);
}

/** How many comparisons with attributes there are in `filter`. */
function attributeTerms(filter: Filter): number {
  if (filter.op === "not") return attributeTerms(filter.of);
  if (filter.op === "all" || filter.op === "any") return filter.of.reduce((sum, part) => sum + attributeTerms(part), 0);
  return filter.field.kind === "attribute" ? 1 : 0;
}

/** Whether `filter` is a comparison with an attribute that there is, which the attribute table is no help to. */
function isUnprobedTerm(filter: Filter, context: CompileContext): boolean {
  if (!("field" in filter) || filter.field.kind === "record") return false;
  return !isProbed(filter) && context.keyOf(filter.field.name) !== undefined;
}

type Term = Exclude<Filter, { op: "all" | "any" | "not" }>;

function isProbed(term: Term): boolean {
  if (term.op === "$in" || term.op === "$nin") return term.values.length <= MAX_PROBES;
  return term.op === "$eq" || term.op === "$ne";
}

function compileAttributeTerm(term: Term, name: string, context: CompileContext): Sql {
  const k = context.keyOf(name);
  const isNegative = term.op === "$ne" || term.op === "$nin" || (term.op === "$exists" && !term.exists);
  if (k === undefined) return isNegative ? TRUE : FALSE;
  if (!isProbed(term) || term.op === "$exists") return context.callOf(term);
  const values = "values" in term ? term.values : [term.value];
  const found = join(
    "OR",
    values.map((value) =>
      sql(
        "EXISTS (SELECT 1 FROM attribute a WHERE a.k = ? AND a.v = ? AND a.publish_time = r.publish_time AND a.record = r.id)",
        k,
        cellOf(value),
      ),
    ),
  );
  return isNegative ? not(found) : found;
}

/** How an operand stands in the database. */
export function cellOf(operand: Operand): SQLInputValue {
  return typeof operand === "number" ? operand : operandText(operand);
}

function compileRecordTerm(term: Term, name: RecordField, context: CompileContext): Sql {
  if (name === "store" || name === "location_key") return compileObjectTerm(term, name, context);
  if (name !== "sequence") return compileColumnTerm(term, `r.${name}`, context);
  // A sequence past 2^53 exists, but is no number to compare with.
  if (term.op === "$exists") return compileColumnTerm(term, "r.sequence", context);
  return compileColumnTerm(term, "CASE WHEN r.sequence_text IS NULL THEN r.sequence END", context);
}

/** Objects are few: those that match are found once, not for each record. */
function compileObjectTerm(term: Term, name: "store" | "location_key", context: CompileContext): Sql {
  const condition = compileColumnTerm(term, `o.${name}`, context);
  return sql(
    `r.object IN (SELECT o.id FROM object o WHERE o.collection = ? AND ${condition.text})`,
    context.collection,
    ...condition.params,
  );
}

function compileColumnTerm(term: Term, column: string, context: CompileContext): Sql {
  switch (term.op) {
    case "$exists":
      return sql(`(${column} IS ${term.exists ? "NOT " : ""}NULL)`);
    case "$eq":
      return sql(`(${column} IS ?)`, cellOf(term.value));
    case "$ne":
      return sql(`(${column} IS NOT ?)`, cellOf(term.value));
    case "$in":
    case "$nin": {
      const list = context.listOf(term.values);
      const found = sql(`ifnull(${column} IN ${list.text}, 0)`, ...list.params);
      return term.op === "$in" ? found : not(found);
    }
    default:
      return sql(`ifnull(${column} ${SQL_OPERATORS[term.op]} ?, 0)`, cellOf(term.value));
  }
}
