import type { Document, Filter as Query } from "mongodb";
import { type Comparison, type FieldRef, type Filter, type Operand, RECORD_FIELDS } from "../../../core/filter/ast.ts";
import { operandText } from "../../../core/filter/evaluate.ts";
import type { IndexPosition } from "../../../core/ports/metadata-index.ts";
import { dateOf, type RecordDocument } from "./documents.ts";
import { fieldOf } from "./names.ts";

/** A condition on record documents. */
export type RecordQuery = Query<RecordDocument>;

export const EVERYTHING: RecordQuery = {};
export const NOTHING: RecordQuery = { _id: { $in: [] } };

type Term = Exclude<Filter, { op: "all" | "any" | "not" }>;

/**
 * The condition that a document's record matches `filter`. The server's own semantics are those of the filter: a comparison looks at values of
 * its operand's type, at each of a list, and texts compare by their UTF-8 bytes.
 */
export function compileFilter(filter: Filter): RecordQuery {
  switch (filter.op) {
    case "all":
      return allOf(filter.of.map(compileFilter));
    case "any":
      return anyOf(filter.of.map(compileFilter));
    case "not":
      return noneOf(compileFilter(filter.of));
    default:
      return compileTerm(filter);
  }
}

/** All of the conditions. */
export function allOf(queries: readonly RecordQuery[]): RecordQuery {
  const [first = EVERYTHING] = queries;
  return queries.length <= 1 ? first : { $and: [...queries] };
}

function anyOf(queries: readonly RecordQuery[]): RecordQuery {
  const [first = NOTHING] = queries;
  return queries.length <= 1 ? first : { $or: [...queries] };
}

/** `$nor`, where `$ne` and `$nin` would do: some servers read everything for those. */
function noneOf(query: RecordQuery): RecordQuery {
  return { $nor: [query] };
}

function compileTerm(term: Term): RecordQuery {
  switch (term.op) {
    case "$exists":
      return condition(pathOf(term.field, "text"), { $exists: term.exists });
    case "$nin":
      return noneOf(listed(term.field, term.values));
    case "$in":
      return listed(term.field, term.values);
    case "$ne":
      return noneOf(compared(term.field, "$eq", term.value));
    default:
      return compared(term.field, term.op, term.value);
  }
}

function condition(path: string, test: Document): RecordQuery {
  return { [path]: test } as RecordQuery;
}

function compared(field: FieldRef, op: Comparison, value: Operand): RecordQuery {
  return condition(pathOf(field, typeOf(value)), { [op]: storedOf(field, value) });
}

function listed(field: FieldRef, values: readonly Operand[]): RecordQuery {
  const lists = (["text", "number"] as const).map((type): [typeof type, Operand[]] => [type, values.filter((v) => typeOf(v) === type)]);
  const used = lists.filter(([, list]) => list.length > 0);
  return anyOf(used.map(([type, list]) => condition(pathOf(field, type), { $in: list.map((value) => storedOf(field, value)) })));
}

/** Which of an attribute's two forms an operand is compared with. */
export function typeOf(operand: Operand): "text" | "number" {
  return typeof operand === "number" ? "number" : "text";
}

function pathOf(field: FieldRef, type: "text" | "number"): string {
  if (field.kind === "record") return field.name === "unique_id" ? "_id" : field.name;
  return `${type === "text" ? "attrs" : "nums"}.${fieldOf(field.name)}`;
}

function storedOf(field: FieldRef, operand: Operand): string | number | Date {
  if (typeof operand !== "number") return operandText(operand);
  return field.kind === "record" && RECORD_FIELDS[field.name] === "time" ? dateOf(operand) : operand;
}

type Key = readonly [path: string, value: unknown];

/** The condition that a record comes behind a position: greater in the first key that differs. */
export function behind(after: IndexPosition): RecordQuery {
  const end: Key[] = [
    ["publish_time", dateOf(after.publish_time)],
    ["_id", after.unique_id],
  ];
  if (after.order === "publish") return greater(end);
  return greater([["source_key", after.source_key], ["sequence_rank", BigInt(after.sequence)], ...end]);
}

/** The bound of the first key alone tells the server where in its index to start. */
function greater(keys: readonly Key[]): RecordQuery {
  const [first] = keys;
  const steps = keys.map(([path, value], i) => allOf([...keys.slice(0, i).map(equal), condition(path, { $gt: value })]));
  return allOf([...(first ? [condition(first[0], { $gte: first[1] })] : []), anyOf(steps)]);
}

function equal([path, value]: Key): RecordQuery {
  return condition(path, { $eq: value });
}
