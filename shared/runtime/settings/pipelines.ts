import { z } from "zod";
import { brokers, stores } from "../../adapters/registry.ts";

const names = <K extends string>(registry: Record<K, unknown>) => Object.keys(registry) as [K, ...K[]];

export const nameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/,
    "must start with a letter or digit and hold at most 100 letters, digits, dots, dashes and underscores",
  );

export const topicSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._~+%-]{0,254}$/, "must be a topic's name: letters, digits and -_.~+%, at most 255");

const sourceSchema = z
  .strictObject({
    broker: z.enum(names(brokers)).default("embedded").describe("Adapter of the broker."),
    topic: topicSchema.describe("Topic that is read."),
    subscription: topicSchema.default("persistor").describe("Subscription of that topic."),
    id: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe("Becomes `broker_id`, the first part of each message's identity. Default: the topic's name."),
  })
  .describe("Where the messages come from.");

const storeSchema = z
  .strictObject({
    name: nameSchema.optional().describe("A store of `PERSISTOR_STORES`. Either this or `kind`."),
    kind: z
      .enum(names(stores))
      .optional()
      .describe("Adapter of a store that only this pipeline uses; the store's name is then the pipeline's."),
    dir: z.string().min(1).optional().describe("`fs` only: folder of the objects. Default: `objects` in the data folder."),
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
  .describe("Where the objects go.");

const MAX_MESSAGE_BYTES = 64_000_000;

const batchSchema = z
  .strictObject({
    maxMessages: z.int().min(1).max(100_000).default(5_000).describe("Messages of one object at most."),
    maxBytes: z.int().min(1_000).max(64_000_000).default(8_000_000).describe("Bytes of one object at most, before compression."),
    maxWaitMs: z
      .int()
      .min(0)
      .max(600_000)
      .default(10_000)
      .describe("Longest wait for a fuller batch, in milliseconds, where the source is pulled."),
    triggerMaxWaitMs: z
      .int()
      .min(0)
      .max(60_000)
      .default(250)
      .describe("Longest wait for company, in milliseconds, where a trigger delivers."),
    maxMessageBytes: z
      .int()
      .min(1_000)
      .max(MAX_MESSAGE_BYTES)
      .default(16_000_000)
      .describe("A message above this is dead-lettered as `too_large`."),
  })
  .describe("How messages are joined.");

const indexSchema = z
  .strictObject({
    topic: topicSchema.default("persistor-index").describe("Topic that carries index records to the indexer."),
    collection: nameSchema.describe("Collection of the index; several pipelines may share one."),
  })
  .describe("Absent: persisting alone; the index can be built later from what is stored.");

const deadLetterSchema = z
  .strictObject({ topic: topicSchema.default("persistor-dead-letter").describe("Topic for what can never be handled.") })
  .describe("Absent: such messages are released again and again.");

export const pipelineSchema = z.strictObject({
  source: sourceSchema,
  store: storeSchema,
  batch: batchSchema.prefault({}),
  index: indexSchema.optional(),
  deadLetter: deadLetterSchema.optional(),
});

export const pipelinesSchema = z
  .record(nameSchema, pipelineSchema)
  .refine((pipelines) => Object.keys(pipelines).length > 0, "name at least one pipeline");

export const storesSchema = z.record(
  nameSchema,
  z.strictObject({
    kind: z.enum(names(stores)).describe("Adapter of the store."),
    dir: z.string().min(1).optional().describe("`fs` only: folder of the objects. Default: `objects` in the data folder."),
  }),
);

export const destinationsSchema = z.record(
  nameSchema,
  z.strictObject({
    broker: z.enum(names(brokers)).describe("Adapter of the broker."),
    topic: topicSchema.describe("Topic at that broker."),
  }),
);

export type PipelineSettings = z.output<typeof pipelineSchema>;
export type StoreSettings = z.output<typeof storesSchema>[string];

const LOCAL_BATCH = { maxWaitMs: 1_000 };
const LOCAL_STORE = "local";
const INDEX_TOPIC = "persistor-index";
export const DEAD_LETTER_TOPIC = "persistor-dead-letter";

/** The embedded pipeline that stores, indexes and so makes queryable what was dead-lettered, also what was too large for another pipeline. */
const deadLetters = {
  source: { broker: "embedded", topic: DEAD_LETTER_TOPIC },
  store: { name: LOCAL_STORE, path: "{topic}/{year}/{month}/{day}" },
  batch: { ...LOCAL_BATCH, maxMessageBytes: MAX_MESSAGE_BYTES },
  index: { topic: INDEX_TOPIC, collection: "dead-letter" },
} as const;

const local = (topic: string, path: string) => ({
  source: { broker: "embedded", topic },
  store: { name: LOCAL_STORE, path },
  batch: LOCAL_BATCH,
  index: { topic: INDEX_TOPIC, collection: topic },
  deadLetter: { topic: DEAD_LETTER_TOPIC },
});

/** What the local host runs where no pipelines are set: those of the sample data. */
export const DEFAULT_PIPELINES = {
  earthquakes: local("earthquakes", "{topic}/{year}/{month}/{day}/network={attribute:network}"),
  flights: local("flights", "{topic}/{year}/{month}/{day}/{hour}"),
};

export const DEFAULT_STORES = { [LOCAL_STORE]: { kind: "fs" } };

/** Name, and collection, of the pipeline that is added for a dead-letter topic. */
export function deadLetterPipelineName(topic: string): string {
  return topic === DEAD_LETTER_TOPIC ? "dead-letter" : topic;
}

/** Adds the pipeline of each dead-letter topic that no pipeline reads yet. */
export function withDeadLetterPipelines(
  pipelines: Record<string, PipelineSettings>,
  known: Record<string, StoreSettings>,
): Record<string, PipelineSettings> {
  const read = new Set(Object.values(pipelines).map(({ source }) => source.topic));
  const added: Record<string, PipelineSettings> = {};
  for (const { deadLetter, store } of Object.values(pipelines)) {
    if (!deadLetter || read.has(deadLetter.topic)) continue;
    read.add(deadLetter.topic);
    const place = LOCAL_STORE in known ? { name: LOCAL_STORE } : store.name ? { name: store.name } : { kind: store.kind, dir: store.dir };
    const name = deadLetterPipelineName(deadLetter.topic);
    added[name] = pipelineSchema.parse({
      ...deadLetters,
      source: { ...deadLetters.source, topic: deadLetter.topic },
      store: { ...place, path: deadLetters.store.path },
      index: { ...deadLetters.index, collection: name },
    });
  }
  return { ...pipelines, ...added };
}
