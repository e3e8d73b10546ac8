import { z } from "zod";
import { RECORD_FIELDS } from "./ast.ts";
import { MAX_LIST_VALUES } from "./operands.ts";

const operand = z.union([z.string(), z.number(), z.boolean()]);
const list = z.array(operand).min(1).max(MAX_LIST_VALUES);

const operators = z
  .strictObject({
    $eq: operand,
    $ne: operand,
    $gt: operand,
    $gte: operand,
    $lt: operand,
    $lte: operand,
    $in: list,
    $nin: list,
    $exists: z.boolean(),
  })
  .partial()
  .meta({ id: "FilterOperators", description: "Operators on one field; all of them must hold." });

const condition = z.union([operand, operators]).optional();
const recordFields = Object.fromEntries(Object.keys(RECORD_FIELDS).map((name) => [name, condition]));

const filterObject: z.ZodType = z
  .lazy(() =>
    z
      .object({ ...recordFields, all: filterList.optional(), any: filterList.optional(), not: filterObject.optional() })
      .catchall(z.union([operand, operators])),
  )
  .meta({
    id: "FilterObject",
    description: "Fields of the record, and additional_metadata.<name> for attributes; all of them must match. {} matches everything.",
  });

const filterList = z.array(filterObject).min(1);

/** The filter's form for the API's description; what is accepted is decided by `parseFilter` alone. */
export const filterBodySchema = z
  .union([
    z.strictObject({ filters: filterList }),
    z.strictObject({ all: filterList }),
    z.strictObject({ any: filterList }),
    z.strictObject({ not: filterObject }),
  ])
  .meta({ id: "Filter", description: "Exactly one of filters (any of them), all, any, not." });
