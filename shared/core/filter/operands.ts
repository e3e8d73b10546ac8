import { z } from "zod";
import { MAX_INDEXED_VALUE_BYTES } from "../index-record.ts";
import { type FieldRef, type Operand, RECORD_FIELDS } from "./ast.ts";
import { timeOrFault } from "./time.ts";

/** Values that one `$in` or `$nin` may list. */
export const MAX_LIST_VALUES = 10_000;

const NULL_FAULT = "is null; ask with $exists whether there is a value";

const text = z.string({ error: typeFault("text") }).superRefine((value, context) => {
  if (!value.isWellFormed()) context.addIssue("holds half of a character (a lone surrogate)");
  if (Buffer.byteLength(value) > MAX_INDEXED_VALUE_BYTES) context.addIssue(`is longer than ${MAX_INDEXED_VALUE_BYTES} bytes of UTF-8`);
});

const number = z.number({ error: typeFault("a finite number") }).transform((value) => value + 0);

const time = z.string({ error: typeFault("a time as text") }).transform((value, context) => {
  const ms = timeOrFault(value);
  if (typeof ms === "number") return ms;
  context.addIssue(ms);
  return z.NEVER;
});

const boolean = z.boolean({ error: typeFault("true or false") });

const BY_TYPE = { text, number, time };

/** The schema of what `field` is compared with. `ordering` tells whether it is for an operator that asks for more or less. */
export function operandSchema(field: FieldRef, value: unknown, ordering: boolean): z.ZodType<Operand> {
  if (field.kind === "record") return BY_TYPE[RECORD_FIELDS[field.name]];
  if (typeof value === "number") return number;
  if (typeof value !== "boolean") return z.string({ error: typeFault("text, a number or true or false") }).pipe(text);
  return ordering ? z.never({ error: "is true or false, which have no order; use $eq, $ne, $in or $nin" }) : boolean;
}

/** The schema of what `$exists` is given. */
export const existsSchema = boolean;

/** The schema of a list for `$in` and `$nin`, its values not yet looked at. */
export const listSchema = z
  .array(z.unknown(), { error: typeFault("a list") })
  .min(1, "is an empty list; give at least one value")
  .max(MAX_LIST_VALUES, `lists more than ${MAX_LIST_VALUES} values`);

function typeFault(wanted: string): (issue: { input?: unknown }) => string {
  return ({ input }) => (input === null ? NULL_FAULT : `is ${kindOf(input)} where ${wanted} is wanted`);
}

function kindOf(input: unknown): string {
  if (Array.isArray(input)) return "a list";
  switch (typeof input) {
    case "string":
      return "text";
    case "number":
      return Number.isFinite(input) ? "a number" : "a number that is not finite";
    case "boolean":
      return "true or false";
    case "object":
      return "an object";
    default:
      return "absent";
  }
}
