import type { z } from "zod";
import { type InputFault, InvalidInput } from "../errors.ts";
import { type Comparison, type FieldRef, type Filter, type Operand, RECORD_FIELDS, type RecordField } from "./ast.ts";
import { existsSchema, listSchema, operandSchema } from "./operands.ts";

/** `all`, `any`, `not` and `filters` within one another. */
export const MAX_FILTER_DEPTH = 10;
/** Comparisons in one filter; a filter object without any counts as one. */
export const MAX_FILTER_TERMS = 1000;

/** Each group takes two levels of JSON (object, list), a field with its operators and their list three more. */
const MAX_JSON_DEPTH = 2 * MAX_FILTER_DEPTH + 4;
const MAX_FAULTS = 20;
/** A caller's field names can be as long as the body. */
const MAX_PATH_LENGTH = 300;
const ATTRIBUTE_PREFIX = "additional_metadata.";
const COMPARISONS: readonly string[] = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"] satisfies Comparison[];
const ORDERINGS: readonly string[] = ["$gt", "$gte", "$lt", "$lte"] satisfies Comparison[];
const OPERATORS = "$eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, $exists";

type Json = Readonly<Record<string, unknown>>;

interface Parsing {
  faults: InputFault[];
  terms: number;
}

/** Thrown past the rest of a filter that is too large or has too many faults to go on with; the last one is noted. */
const STOP = Symbol("stop");

/**
 * The filter that a request's body asks for: exactly one of `{"filters": […]}`, `{"all": […]}`, `{"any": […]}`, `{"not": {…}}`.
 * Throws InvalidInput whose `faults` name each place (`filters[0].additional_metadata.mag.$gte`).
 */
export function parseFilter(body: unknown): Filter {
  const parsing: Parsing = { faults: [], terms: 0 };
  const filter = parseUntilStop(body, parsing);
  const [first] = parsing.faults;
  if (!first) return filter;
  throw new InvalidInput(`reading the filter: ${first.path || "the body"} ${first.message}`, parsing.faults);
}

function parseUntilStop(body: unknown, parsing: Parsing): Filter {
  try {
    return parseBody(body, parsing);
  } catch (error) {
    if (error === STOP) return NOTHING;
    throw error;
  }
}

function parseBody(body: unknown, parsing: Parsing): Filter {
  if (!isObject(body)) return fault(parsing, "", 'is no object; write {"filters": [{…}]}, or all, any or not');
  const tooDeep = pathDeeperThan(body, MAX_JSON_DEPTH);
  if (tooDeep !== undefined)
    return fault(parsing, tooDeep, `is nested too deep; at most ${MAX_FILTER_DEPTH} of all, any and not may be within one another`);
  const keys = Object.keys(body);
  const [key] = keys;
  for (const unknown of keys.filter((name) => !isGroup(name) && name !== "filters")) {
    fault(parsing, unknown, "is unknown here; the body is one of filters, all, any, not");
  }
  if (parsing.faults.length > 0) return NOTHING;
  if (key === undefined || keys.length > 1) return fault(parsing, "", "must have exactly one of filters, all, any, not");
  return parseGroup(key, body[key], key, 1, parsing);
}

function parseGroup(key: string, value: unknown, path: string, depth: number, parsing: Parsing): Filter {
  if (depth > MAX_FILTER_DEPTH)
    return fault(parsing, path, `is nested too deep; at most ${MAX_FILTER_DEPTH} of all, any and not may be within one another`);
  if (key === "not") return { op: "not", of: parseObject(value, path, depth, parsing) };
  if (!Array.isArray(value)) return fault(parsing, path, "must be a list of filters");
  if (value.length === 0) return fault(parsing, path, "is an empty list; give at least one filter ({} matches everything)");
  const of = value.map((member: unknown, i) => parseObject(member, `${path}[${i}]`, depth, parsing));
  return joined(key === "all" ? "all" : "any", of);
}

/** One F: fields and groups, all of which must match. */
function parseObject(value: unknown, path: string, depth: number, parsing: Parsing): Filter {
  if (!isObject(value)) return fault(parsing, path, value === null ? "is null; a filter is an object" : "must be an object");
  const of: Filter[] = [];
  const entries = Object.entries(value);
  if (entries.length === 0) countTerm(path, parsing);
  for (const [key, operand] of entries) {
    const at = `${path}.${key}`;
    if (isGroup(key)) {
      of.push(parseGroup(key, operand, at, depth + 1, parsing));
      continue;
    }
    const field = fieldOf(key);
    if (typeof field === "string") fault(parsing, at, field);
    else of.push(...parseField(field, operand, at, parsing));
  }
  return joined("all", of);
}

function fieldOf(key: string): FieldRef | string {
  if (Object.hasOwn(RECORD_FIELDS, key)) return { kind: "record", name: key as RecordField };
  if (!key.startsWith(ATTRIBUTE_PREFIX)) return "is an unknown field; attributes are named additional_metadata.<name>";
  const name = key.slice(ATTRIBUTE_PREFIX.length);
  return name.isWellFormed() ? { kind: "attribute", name } : "holds half of a character (a lone surrogate)";
}

function parseField(field: FieldRef, value: unknown, path: string, parsing: Parsing): Filter[] {
  if (Array.isArray(value)) return [fault(parsing, path, "is a list; use $in")];
  if (!isObject(value)) return [parseOperator("$eq", field, value, path, parsing)];
  const operators = Object.entries(value);
  if (operators.length === 0) return [fault(parsing, path, `names no operator; there are ${OPERATORS}`)];
  return operators.map(([operator, operand]) => parseOperator(operator, field, operand, `${path}.${operator}`, parsing));
}

function parseOperator(operator: string, field: FieldRef, value: unknown, path: string, parsing: Parsing): Filter {
  countTerm(path, parsing);
  if (operator === "$exists") {
    const exists = checked(existsSchema, value, path, parsing);
    return exists === undefined ? NOTHING : { op: operator, field, exists };
  }
  if (operator === "$in" || operator === "$nin") {
    const list = checked(listSchema, value, path, parsing) ?? [];
    const values = list.map((item, i) => checked(operandSchema(field, item, false), item, `${path}[${i}]`, parsing));
    return { op: operator, field, values: values.filter((item) => item !== undefined) };
  }
  if (!COMPARISONS.includes(operator)) return fault(parsing, path, `is an unknown operator; there are ${OPERATORS}`);
  const operand: Operand | undefined = checked(operandSchema(field, value, ORDERINGS.includes(operator)), value, path, parsing);
  return operand === undefined ? NOTHING : { op: operator as Comparison, field, value: operand };
}

function checked<T>(schema: z.ZodType<T>, value: unknown, path: string, parsing: Parsing): T | undefined {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  for (const issue of result.error.issues) fault(parsing, path, issue.message);
  return undefined;
}

function countTerm(path: string, parsing: Parsing): void {
  if (++parsing.terms <= MAX_FILTER_TERMS) return;
  fault(parsing, path, `is one too many; a filter has at most ${MAX_FILTER_TERMS} comparisons`);
  throw STOP;
}

/** Stands where something could not be parsed; never leaves this file, since there is a fault then. */
const NOTHING: Filter = { op: "any", of: [] };

function fault(parsing: Parsing, path: string, message: string): Filter {
  parsing.faults.push({ path: path.length > MAX_PATH_LENGTH ? `${path.slice(0, MAX_PATH_LENGTH)}…` : path, message });
  if (parsing.faults.length >= MAX_FAULTS) throw STOP;
  return NOTHING;
}

function joined(op: "all" | "any", of: Filter[]): Filter {
  const [only] = of;
  return only && of.length === 1 ? only : { op, of };
}

function isGroup(key: string): boolean {
  return key === "all" || key === "any" || key === "not";
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The path of a value more than `limit` levels down, cut where it passes the limit; undefined where there is none. Without recursion: depth is what it guards against. */
function pathDeeperThan(root: Json, limit: number): string | undefined {
  const open: { value: object; path: string; depth: number }[] = [{ value: root, path: "", depth: 1 }];
  for (let next = open.pop(); next; next = open.pop()) {
    if (next.depth > limit) return next.path;
    const isList = Array.isArray(next.value);
    for (const [key, value] of Object.entries(next.value)) {
      if (typeof value !== "object" || value === null) continue;
      const path = isList ? `${next.path}[${key}]` : next.path ? `${next.path}.${key}` : key;
      open.push({ value, path, depth: next.depth + 1 });
    }
  }
  return undefined;
}
