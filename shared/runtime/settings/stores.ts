import { z } from "zod";
import { storeSettings, stores } from "../../adapters/registry.ts";
import { nameSchema, names } from "./names.ts";

export type StoreKind = keyof typeof stores;

const schemas: Readonly<Record<StoreKind, z.ZodObject>> = storeSettings;

/** What only stores of one kind are told, each field with its kind. */
const OWN_FIELDS = Object.entries(schemas).flatMap(([kind, schema]) =>
  Object.entries(schema.shape).map(([field, shape]) => ({ kind: kind as StoreKind, field, shape: shape as z.ZodType })),
);

const ownFields = Object.fromEntries(
  OWN_FIELDS.map(({ kind, field, shape }) => [
    field,
    shape.optional().describe(`\`${kind}\` only: ${lowerFirst(shape.description ?? "")}`),
  ]),
);

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}

/** The settings of a store's own among those of `store`. */
export function ownStoreSettings(kind: StoreKind, store: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    OWN_FIELDS.filter((own) => own.kind === kind && store[own.field] !== undefined).map(({ field }) => [field, store[field]]),
  );
}

/** Reports fields that the store's kind does not know, and those that it needs. */
function checkOwnFields(store: Readonly<Record<string, unknown>>, context: z.RefinementCtx): void {
  if (store.kind === undefined) {
    for (const { field } of OWN_FIELDS) {
      if (store[field] !== undefined)
        context.addIssue({ code: "custom", path: [field], message: "belongs to a store's kind; set it in PERSISTOR_STORES" });
    }
    return;
  }
  const kind = store.kind as StoreKind;
  for (const own of OWN_FIELDS) {
    if (own.kind !== kind && store[own.field] !== undefined && !(own.field in schemas[kind].shape))
      context.addIssue({ code: "custom", path: [own.field], message: `is no setting of a store of kind ${kind}` });
  }
  const checked = schemas[kind].safeParse(ownStoreSettings(kind, store));
  for (const { path, message } of checked.error?.issues ?? []) {
    const missing = store[String(path[0])] === undefined;
    context.addIssue({ code: "custom", path, message: missing ? `must be set for a store of kind ${kind}` : message });
  }
}

export const storeSchema = z
  .strictObject({
    name: nameSchema.optional().describe("A store of `PERSISTOR_STORES`. Either this or `kind`."),
    kind: z
      .enum(names(stores))
      .optional()
      .describe("Adapter of a store that only this pipeline uses; the store's name is then the pipeline's."),
    ...ownFields,
    prefix: z
      .string()
      .regex(
        /^$|^[A-Za-z0-9=_~-][A-Za-z0-9=._~-]*(\/[A-Za-z0-9=_~-][A-Za-z0-9=._~-]*)*$/,
        "must be folders of letters, digits and =._~- between slashes",
      )
      .max(200)
      .default("")
      .describe("Folder under which all objects of the pipeline lie."),
    path: z
      .string()
      .default("{topic}/{year}/{month}/{day}/{hour}")
      .describe(
        "Path mask: constants and `{topic} {partition} {year} {month} {day} {hour} {minute} {attribute:NAME}`; times are the message's publish time in UTC.",
      ),
    format: z.enum(["avro", "raw"]).default("avro").describe("`avro`: batches; `raw`: each message's payload as an object of its own."),
    codec: z.enum(["zstandard", "deflate", "null"]).default("zstandard").describe("Compression of Avro blocks."),
    extension: z
      .string()
      .regex(/^[A-Za-z0-9]{1,16}$/, "must be 1 to 16 letters and digits")
      .optional()
      .describe("Ending of the objects' names. Default: `avro`, or `bin` for `raw`."),
  })
  .refine((store) => (store.name === undefined) !== (store.kind === undefined), {
    path: ["name"],
    message: "set exactly one of name and kind",
  })
  .superRefine(checkOwnFields)
  .describe("Where the objects go.");

export const storesSchema = z.record(
  nameSchema,
  z.strictObject({ kind: z.enum(names(stores)).describe("Adapter of the store."), ...ownFields }).superRefine(checkOwnFields),
);
