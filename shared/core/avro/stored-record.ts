import type { Message } from "../message.ts";

/** One message as it lies in an object. */
export interface StoredRecord {
  message: Message;
  /** `digestOf` the message, 32 bytes. */
  digest: Buffer;
  /** Microseconds since 1970 UTC; the same bounds as `Message.publishTimeUs`. */
  ingestionTimeUs: number;
  /** Name of the pipeline that stored it. */
  pipeline: string;
}

/** Length of a digest in bytes. */
export const DIGEST_BYTES = 32;

/** This name is left out of the map: some readers build their maps as plain objects and lose it. */
export const UNSAFE_MAP_NAME = "__proto__";

/**
 * The Avro schema of a stored record. The first three fields are what every existing reader knows; ours follow, each with a default and
 * none a union. `properties` holds the attributes that a map of strings cannot: every kind but `string`, all values of a repeated name
 * and the name `__proto__`; `position` is the attribute's place among all, so that their order survives. `system` holds every system property.
 */
export const RECORD_SCHEMA = {
  type: "record",
  name: "persistorrecord",
  namespace: "com.syntio.dataphos",
  fields: [
    { name: "ID", type: "string" },
    { name: "Data", type: "bytes" },
    { name: "Metadata", type: { type: "map", values: "string" } },
    { name: "broker_id", type: "string", default: "" },
    { name: "topic", type: "string", default: "" },
    { name: "pipeline", type: "string", default: "" },
    { name: "partition", type: "string", default: "" },
    { name: "sequence", type: "long", default: -1 },
    { name: "publish_time", type: { type: "long", logicalType: "timestamp-micros" }, default: 0 },
    { name: "ingestion_time", type: { type: "long", logicalType: "timestamp-micros" }, default: 0 },
    { name: "ordering_key", type: "string", default: "" },
    { name: "has_key", type: "boolean", default: false },
    { name: "key", type: "bytes", default: "" },
    { name: "content_type", type: "string", default: "" },
    { name: "payload_kind", type: "string", default: "bytes" },
    { name: "digest", type: "bytes", default: "" },
    {
      name: "properties",
      type: {
        type: "array",
        items: {
          type: "record",
          name: "property",
          fields: [
            { name: "name", type: "string" },
            { name: "kind", type: "string", default: "string" },
            { name: "value", type: "bytes", default: "" },
            { name: "position", type: "int", default: -1 },
          ],
        },
      },
      default: [],
    },
    { name: "system", type: { type: "array", items: "property" }, default: [] },
  ],
} as const;

/** The schema as the header of an object carries it. */
export const RECORD_SCHEMA_JSON = JSON.stringify(RECORD_SCHEMA);
