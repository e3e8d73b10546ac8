import { z } from "zod";
import { filterBodySchema } from "../../../core/filter/schema.ts";
import { DEFAULT_PAGE_LIMIT, MAX_IDS, MAX_OFFSET, MAX_PAGE_LIMIT } from "../../../core/query/queries.ts";
import { booleanParameter, integerField, integerParameter, timeParameter } from "../parameters.ts";

const DOCS = {
  limit: { description: `Records of a page at most; ${DEFAULT_PAGE_LIMIT} where it is not given.`, default: DEFAULT_PAGE_LIMIT },
  offset: { description: `Records to pass over, up to ${MAX_OFFSET}; go further by cursor. Not together with a cursor.`, default: 0 },
  cursor: { description: "Where an earlier page of the same query ended." },
  count: { description: "Also count all records that match.", default: false },
} as const;

const MAX_CURSOR_LENGTH = 16_384;
const cursor = z.string().max(MAX_CURSOR_LENGTH).meta(DOCS.cursor).optional();

/** Paging as query parameters. */
export const pagingQuery = z.strictObject({
  limit: integerParameter(1, MAX_PAGE_LIMIT).meta(DOCS.limit).optional(),
  offset: integerParameter(0, MAX_OFFSET).meta(DOCS.offset).optional(),
  cursor,
  count: booleanParameter().meta(DOCS.count).optional(),
});

/** The same as fields of a body. */
export const pagingBody = z.strictObject({
  limit: integerField(1, MAX_PAGE_LIMIT).meta(DOCS.limit).optional(),
  offset: integerField(0, MAX_OFFSET).meta(DOCS.offset).optional(),
  cursor,
  count: z.boolean("must be true or false").meta(DOCS.count).optional(),
});

export const PAGING_NAMES: readonly string[] = Object.keys(pagingBody.shape);

export const rangeQuery = pagingQuery.extend({
  from: timeParameter().meta({ description: "Publish times from here on; without it from the first." }).optional(),
  to: timeParameter().meta({ description: "Publish times before this one; without it before now." }).optional(),
});

/** Milliseconds of each bucket that statistics can be asked by. */
export const BUCKETS_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;

export const statsQuery = z.strictObject({
  from: timeParameter().meta({ description: "Publish times from here on." }),
  to: timeParameter().meta({ description: "Publish times before this one." }),
  bucket: z
    .enum(["minute", "hour", "day"], "must be minute, hour or day")
    .default("hour")
    .meta({ description: "Length of a bucket, in UTC." }),
});

const name = (description: string) => z.string().min(1).meta({ description });

export const collectionParams = z.strictObject({ collection: name("The collection's name.") });
export const recordParams = collectionParams.extend({ id: name("The message's `unique_id`.") });
export const rangeParams = collectionParams.extend({ broker_id: name("The `broker_id` of the messages.") });

const id = z.string("must be text").refine((text) => text.isWellFormed(), "holds half of a character (a lone surrogate)");
export const idsBody = z.strictObject({
  ids: z
    .array(id, "must be a list of ids")
    .max(MAX_IDS, `must hold at most ${MAX_IDS} ids; ask in several requests`)
    .meta({ description: "Unique ids." }),
});

/** For the description only: what a query's body is, is decided by `parseFilter` and `pagingBody`. */
export const queryBodyDoc = z.intersection(filterBodySchema, z.looseObject(pagingBody.shape));

const time = z.string().meta({ format: "date-time" });
const scalar = z.union([
  z.string(),
  z.number(),
  z.boolean(),
  z.null(),
  z.strictObject({ $binary: z.string().meta({ contentEncoding: "base64" }) }),
]);

export const recordSchema = z
  .object({
    unique_id: z.string(),
    broker_id: z.string(),
    broker_msg_id: z.string(),
    ordering_key: z.string().optional(),
    business_source_key: z.string().optional(),
    business_object_key: z.string().optional(),
    index_source_key: z.string().optional().describe("The pipeline that persisted the message."),
    partition: z.string().optional(),
    sequence: z.union([z.int(), z.string()]).optional().describe("A number, or its digits past 2^53."),
    store: z.string(),
    location_key: z.string().describe("The object that holds the message."),
    location_position: z.int().describe("Position in the object, from 0."),
    payload_size: z.int(),
    content_type: z.string().optional(),
    digest: z.string().describe("SHA-256 over all that must stay unaltered, as hex."),
    publish_time: time,
    ingestion_time: time,
    indexer_ingestion_time: time,
    additional_metadata: z
      .record(z.string(), z.union([scalar, z.strictObject({ $repeated: z.array(scalar) })]))
      .describe("The attributes."),
    truncated_attributes: z
      .array(z.string())
      .optional()
      .describe("Names of the attributes that the index holds cut; the stored message has them whole."),
  })
  .meta({ id: "Record" });

export const pageSchema = z
  .object({
    messages: z.array(recordSchema),
    returned_count: z.int(),
    limit: z.int(),
    offset: z.int(),
    cursor: z.string().nullable().describe("Gives the next page; null at the end."),
    total_count: z.int().optional().describe("Only with `count=true`."),
  })
  .meta({ id: "Page" });

export const allSchema = z.object({ messages: z.array(recordSchema), missing: z.array(z.string()) });

export const collectionsSchema = z.object({
  collections: z.array(
    z.object({
      name: z.string(),
      pipelines: z.array(z.string()),
      records: z.int().describe("How many there were a moment ago."),
      first_publish_time: time.nullable(),
      last_publish_time: time.nullable(),
    }),
  ),
});

export const statsSchema = z.object({
  buckets: z.array(z.object({ start: time, broker_id: z.string(), count: z.int(), bytes: z.int() })),
});
