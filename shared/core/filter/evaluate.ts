import type { IndexRecord } from "../index-record.ts";
import { type AttributeHolder, booleanText, type Comparable, comparableOf } from "../indexed-value.ts";
import { compareUtf8 } from "../text.ts";
import type { Comparison, FieldRef, Filter, Operand } from "./ast.ts";

/** What a filter is put to: a record, or as much of one as the filter names fields of. */
export type FilterSubject = AttributeHolder & Partial<IndexRecord>;

/** Whether `record` matches `filter`: the reference semantics, which every index must agree with. */
export function matches(filter: Filter, record: FilterSubject): boolean {
  return predicateOf(filter)(record);
}

/** `matches` for many records: what can be prepared once is. */
export function predicateOf(filter: Filter): (record: FilterSubject) => boolean {
  switch (filter.op) {
    case "all":
    case "any": {
      const parts = filter.of.map(predicateOf);
      if (filter.op === "all") return (record) => parts.every((part) => part(record));
      return (record) => parts.some((part) => part(record));
    }
    case "not":
      return negated(predicateOf(filter.of));
    case "$exists": {
      const { field } = filter;
      return filter.exists ? (record) => exists(field, record) : (record) => !exists(field, record);
    }
    case "$nin":
      return negated(anyValue(filter.field, oneOf(filter.values)));
    case "$in":
      return anyValue(filter.field, oneOf(filter.values));
    case "$ne":
      return negated(anyValue(filter.field, compares("$eq", filter.value)));
    default:
      return anyValue(filter.field, compares(filter.op, filter.value));
  }
}

type Predicate = (record: FilterSubject) => boolean;
type ValueTest = (value: Comparable) => boolean;

function negated(predicate: Predicate): Predicate {
  return (record) => !predicate(record);
}

function exists(field: FieldRef, record: FilterSubject): boolean {
  if (field.kind === "record") return record[field.name] !== undefined;
  return record.attributes.some(([name]) => name === field.name);
}

function anyValue(field: FieldRef, test: ValueTest): Predicate {
  if (field.kind === "record") return (record) => test(recordComparable(record[field.name], field.name));
  return (record) => {
    for (const [name, value] of record.attributes) {
      if (name === field.name && test(comparableOf(record, name, value))) return true;
    }
    return false;
  };
}

function oneOf(operands: readonly Operand[]): ValueTest {
  const texts = new Set<string>();
  const numbers = new Set<number>();
  for (const operand of operands) {
    if (typeof operand === "number") numbers.add(operand);
    else texts.add(operandText(operand));
  }
  return ({ text, number }) => (text !== undefined && texts.has(text)) || (number !== undefined && numbers.has(number));
}

/** A field of the record compares as what it is; a sequence past 2^53 is held as text and has no number. */
function recordComparable(value: string | number | undefined, name: string): Comparable {
  if (typeof value === "number") return { number: value };
  return name === "sequence" ? {} : { text: value };
}

function compares(op: Exclude<Comparison, "$ne">, operand: Operand): ValueTest {
  if (typeof operand === "number") return ({ number }) => number !== undefined && holds(op, number - operand);
  const wanted = operandText(operand);
  return ({ text }) => text !== undefined && holds(op, compareUtf8(text, wanted));
}

/** The text that an operand other than a number is compared as. */
export function operandText(operand: string | boolean): string {
  return typeof operand === "boolean" ? booleanText(operand) : operand;
}

function holds(op: Exclude<Comparison, "$ne">, order: number): boolean {
  switch (op) {
    case "$eq":
      return order === 0;
    case "$gt":
      return order > 0;
    case "$gte":
      return order >= 0;
    case "$lt":
      return order < 0;
    case "$lte":
      return order <= 0;
  }
}
