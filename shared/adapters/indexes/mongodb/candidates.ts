import type { Filter, Operand } from "../../../core/filter/ast.ts";
import { INDEXES, type IndexName } from "./collections.ts";
import { typeOf } from "./compile.ts";

/** A part of a filter that one index can answer: the records that match it are looked up there. */
export interface Candidate {
  part: Filter;
  index: IndexName;
}

type Term = Extract<Filter, { field: unknown }>;

/** All parts of a filter that must hold, nested `all` taken apart, and an `any` over values of one field made a list. */
export function conjuncts(filter: Filter): Filter[] {
  if (filter.op === "all") return filter.of.flatMap(conjuncts);
  return [filter.op === "any" ? asList(filter) : filter];
}

type Any = Extract<Filter, { op: "all" | "any" }>;

/** `a = 1 or a = 2` as `a in (1, 2)`, which one index answers; others stay as they are. */
function asList(any: Any): Filter {
  const [first] = any.of;
  if (!first || !("field" in first)) return any;
  const values: Operand[] = [];
  for (const term of any.of) {
    if (!("field" in term) || term.field.kind !== first.field.kind || term.field.name !== first.field.name) return any;
    if (term.op === "$eq") values.push(term.value);
    else if (term.op === "$in") values.push(...term.values);
    else return any;
  }
  return { op: "$in", field: first.field, values };
}

/** Whether the parts ask for one broker's records. */
export function namesBroker(parts: readonly Filter[]): boolean {
  return parts.some((part) => "field" in part && isRecordField(part, "broker_id") && part.op === "$eq");
}

/** Whether walking the order of time, or of one broker's times, touches no more than what matches. */
export function isWalk(parts: readonly Filter[]): boolean {
  return parts.every(
    (part) => "field" in part && (isRecordField(part, "publish_time") || (isRecordField(part, "broker_id") && part.op === "$eq")),
  );
}

/** What must hold of the publish time, and of the broker, as one candidate; undefined where the time is not bounded. */
export function timeCandidate(parts: readonly Filter[]): Candidate | undefined {
  const bounds = parts.filter((part) => "field" in part && isRecordField(part, "publish_time") && "value" in part && part.op !== "$ne");
  if (bounds.length === 0) return undefined;
  const brokers = parts.filter((part) => "field" in part && isRecordField(part, "broker_id") && part.op === "$eq");
  return { part: { op: "all", of: [...brokers, ...bounds] }, index: brokers.length > 0 ? INDEXES.broker : INDEXES.time };
}

/** Ways to find the records that match all of `parts` by what one index holds, other than time; the likely best first. */
export function candidatesOf(parts: readonly Filter[]): Candidate[] {
  const ranges = new Map<string, { index: IndexName; of: Filter[] }>();
  const candidates: Candidate[] = [];
  for (const part of parts) {
    if (!("field" in part)) continue;
    const index = indexOf(part);
    if (!index) continue;
    if (part.op === "$eq" || part.op === "$in" || part.op === "$exists") {
      candidates.push({ part, index });
      continue;
    }
    const key = `${index} ${part.field.name}`;
    const range = ranges.get(key) ?? { index, of: [] };
    range.of.push(part);
    ranges.set(key, range);
  }
  return [...candidates, ...[...ranges.values()].map(({ index, of }): Candidate => ({ part: { op: "all", of }, index }))];
}

/** The index that answers a term, besides those of time. A list of texts and numbers would need two. */
function indexOf(term: Term): IndexName | undefined {
  if (term.op === "$ne" || term.op === "$nin") return undefined;
  if (term.field.kind === "record") return recordIndexOf(term);
  if (term.op === "$exists") return term.exists ? INDEXES.attrs : undefined;
  const types = new Set(("values" in term ? term.values : [term.value]).map(typeOf));
  if (types.size !== 1) return undefined;
  return types.has("text") ? INDEXES.attrs : INDEXES.nums;
}

function recordIndexOf(term: Term): IndexName | undefined {
  if (term.op !== "$eq" && term.op !== "$in") return undefined;
  if (isRecordField(term, "unique_id")) return INDEXES.id;
  return isRecordField(term, "location_key") ? INDEXES.location : undefined;
}

function isRecordField({ field }: Term, name: string): boolean {
  return field.kind === "record" && field.name === name;
}
