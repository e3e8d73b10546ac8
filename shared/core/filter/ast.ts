/** Comparisons that a field can be put to. */
export type Comparison = "$eq" | "$ne" | "$gt" | "$gte" | "$lt" | "$lte";

/** Fields of an index record that a filter may name, by the type of what they compare with. */
export const RECORD_FIELDS = {
  unique_id: "text",
  broker_id: "text",
  broker_msg_id: "text",
  ordering_key: "text",
  business_source_key: "text",
  business_object_key: "text",
  index_source_key: "text",
  partition: "text",
  store: "text",
  location_key: "text",
  content_type: "text",
  digest: "text",
  sequence: "number",
  location_position: "number",
  payload_size: "number",
  publish_time: "time",
  ingestion_time: "time",
  indexer_ingestion_time: "time",
} as const satisfies Record<string, "text" | "number" | "time">;

export type RecordField = keyof typeof RECORD_FIELDS;

export type FieldRef = { kind: "record"; name: RecordField } | { kind: "attribute"; name: string };

/** Text, number or boolean; a time is a number of milliseconds since 1970. */
export type Operand = string | number | boolean;

/**
 * A parsed filter. `{op: "all", of: []}` matches everything, `{op: "any", of: []}` nothing.
 *
 * Meaning: an attribute has the text of each of its values, and a number where that text is one (see `numberOf`). A comparison with text
 * looks at texts, one with a number at numbers, one with a boolean at the texts `true` and `false`. Positive operators match if any value
 * does; `$ne` and `$nin` are the negation of `$eq` and `$in`.
 */
export type Filter =
  | { op: "all"; of: readonly Filter[] }
  | { op: "any"; of: readonly Filter[] }
  | { op: "not"; of: Filter }
  | { op: Comparison; field: FieldRef; value: Operand }
  | { op: "$in" | "$nin"; field: FieldRef; values: readonly Operand[] }
  | { op: "$exists"; field: FieldRef; exists: boolean };

export const MATCH_ALL: Filter = { op: "all", of: [] };
