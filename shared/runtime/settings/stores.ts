import { z } from "zod";
import { storeSettings, stores } from "../../adapters/registry.ts";
import { nameSchema, names } from "./names.ts";
import { ownFieldsOf } from "./own-fields.ts";

export type StoreKind = keyof typeof stores;

const own = ownFieldsOf<StoreKind>("a store", storeSettings);

/** The settings of a store's own among those of `store`. */
export const ownStoreSettings = own.of;

/** Reports fields that the store's kind does not know, and those that it needs. */
function checkOwnFields(store: Readonly<Record<string, unknown>>, context: z.RefinementCtx): void {
  if (store.kind !== undefined) own.check(store.kind as StoreKind, store, context);
  for (const field of own.names) {
    if (store.kind === undefined && store[field] !== undefined)
      context.addIssue({ code: "custom", path: [field], message: "belongs to a store's kind; set it in PERSISTOR_STORES" });
  }
}

export const storeSchema = z
  .strictObject({
    name: nameSchema.optional().describe("A store of `PERSISTOR_STORES`. Either this or `kind`."),
    kind: z
      .enum(names(stores))
      .optional()
      .describe("Adapter of a store that only this pipeline uses; the store's name is then the pipeline's."),
    ...own.shape,
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
  z.strictObject({ kind: z.enum(names(stores)).describe("Adapter of the store."), ...own.shape }).superRefine(checkOwnFields),
);
