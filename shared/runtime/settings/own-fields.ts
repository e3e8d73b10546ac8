import { z } from "zod";

/** Schemas of what only adapters of one kind are told, by the kind. */
type OwnSchemas<K extends string> = Readonly<Record<K, z.ZodObject>>;

/** Settings that belong to one adapter among the settings of several. */
export interface OwnFields<K extends string> {
  /** The fields of all kinds, each optional, its text naming the kinds; for a schema that holds them beside others. */
  shape: Record<string, z.ZodOptional<z.ZodType>>;
  /** The own settings of `kind` among `settings`, as given. */
  of(kind: K, settings: Readonly<Record<string, unknown>>): Record<string, unknown>;
  /** Reports own fields that `kind` does not know, and what its schema finds. `what`: what has the kind, such as "a store". */
  check(kind: K, settings: Readonly<Record<string, unknown>>, context: z.RefinementCtx): void;
  /** Names of all own fields. */
  names: readonly string[];
}

/** `what` names what has a kind, for messages: "a store". */
export function ownFieldsOf<K extends string>(what: string, schemas: OwnSchemas<K>): OwnFields<K> {
  const kinds = Object.keys(schemas) as K[];
  const all = kinds.flatMap((kind) =>
    Object.entries(schemas[kind].shape).map(([field, schema]) => ({ kind, field, schema: schema as z.ZodType })),
  );
  const byField = Map.groupBy(all, ({ field }) => field);
  const shape = Object.fromEntries([...byField].map(([field, owners]) => [field, fieldOf(owners)]));
  const of: OwnFields<K>["of"] = (kind, settings) =>
    Object.fromEntries(
      Object.keys(schemas[kind].shape).flatMap((field) => (settings[field] === undefined ? [] : [[field, settings[field]]])),
    );
  return {
    shape,
    of,
    names: [...byField.keys()],
    check(kind, settings, context) {
      for (const field of byField.keys()) {
        if (settings[field] !== undefined && !(field in schemas[kind].shape))
          context.addIssue({ code: "custom", path: [field], message: `is no setting of ${what} of kind ${kind}` });
      }
      const checked = schemas[kind].safeParse(of(kind, settings));
      for (const { path, message } of checked.error?.issues ?? []) {
        const missing = settings[String(path[0])] === undefined;
        context.addIssue({ code: "custom", path, message: missing ? `must be set for ${what} of kind ${kind}` : message });
      }
    },
  };
}

/** Without its default, which is the kind's own schema's to give: here it would make every kind have the field. */
function fieldOf(owners: readonly { kind: string; schema: z.ZodType }[]): z.ZodOptional<z.ZodType> {
  const bare = owners.map(({ schema }) => (schema instanceof z.ZodDefault ? (schema.unwrap() as z.ZodType) : schema));
  const byDoc = Map.groupBy(owners, ({ schema }) => docOf(schema));
  const docs = [...byDoc].map(([doc, group]) => `${group.map(({ kind }) => `\`${kind}\``).join(", ")} only: ${doc}`);
  const [first, second, ...others] = bare as [z.ZodType, ...z.ZodType[]];
  // Kinds may know a field of the same name by other values: each one's own schema judges them.
  const either = second && byDoc.size > 1 ? z.union([first, second, ...others]) : first;
  return either.optional().describe(docs.join(" "));
}

function docOf(schema: z.ZodType): string {
  const fallback = schema instanceof z.ZodDefault ? ` Default: \`${JSON.stringify(schema.def.defaultValue).replaceAll('"', "")}\`.` : "";
  return lowerFirst(schema.description ?? "") + fallback;
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}
