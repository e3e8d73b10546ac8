import { z } from "zod";
import { brokers } from "../../adapters/registry.ts";
import { nameSchema, names } from "./names.ts";
import { ownStoreSettings, type StoreKind, storeSchema } from "./stores.ts";

export const topicSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._~+%-]{0,254}$/, "must be a topic's name: letters, digits and -_.~+%, at most 255");

const EMBEDDED = "embedded";

const sourceSchema = z
  .strictObject({
    broker: z.enum(names(brokers)).default(EMBEDDED).describe("Adapter of the broker."),
    topic: topicSchema.describe("Topic that is read."),
    subscription: topicSchema
      .optional()
      .describe("Subscription of that topic. Default: `persistor` at the embedded broker, elsewhere the topic's name and `-persistor`."),
    id: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe("Becomes `broker_id`, the first part of each message's identity. Default: the topic's name."),
  })
  .transform((source) => ({
    ...source,
    subscription: source.subscription ?? (source.broker === EMBEDDED ? "persistor" : `${source.topic}-persistor`),
  }))
  .describe("Where the messages come from.");

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

export const destinationSchema = z.strictObject({
  broker: z.enum(names(brokers)).describe("Adapter of the broker."),
  topic: topicSchema.describe("Topic at that broker."),
});

export const destinationsSchema = z.record(nameSchema, destinationSchema);

export type PipelineSettings = z.output<typeof pipelineSchema>;

const LOCAL_BATCH = { maxWaitMs: 1_000 };
const LOCAL_STORE = "local";
const INDEX_TOPIC = "persistor-index";
export const DEAD_LETTER_TOPIC = "persistor-dead-letter";

const local = (topic: string, path: string) => ({
  source: { broker: EMBEDDED, topic },
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

const DEAD_LETTER_PATH = "{topic}/{year}/{month}/{day}";

function placeOf(store: PipelineSettings["store"]): Record<string, unknown> {
  if (store.name !== undefined) return { name: store.name };
  const kind = store.kind as StoreKind;
  return { kind, prefix: store.prefix, ...ownStoreSettings(kind, store) };
}

/** Name, and collection, of the pipeline that is added for a dead-letter topic. */
export function deadLetterPipelineName(topic: string): string {
  return topic === DEAD_LETTER_TOPIC ? "dead-letter" : topic;
}

/**
 * Adds the pipeline of each dead-letter topic that no pipeline reads yet: it stores, indexes and so makes queryable what was dead-lettered,
 * also what was too large for another pipeline. It is like the first pipeline that writes there, but for its path and limits.
 */
export function withDeadLetterPipelines(
  pipelines: Record<string, PipelineSettings>,
  known: Readonly<Record<string, unknown>>,
): Record<string, PipelineSettings> {
  const read = new Set(Object.values(pipelines).map(({ source }) => source.topic));
  const added: Record<string, PipelineSettings> = {};
  for (const { deadLetter, source, store, index } of Object.values(pipelines)) {
    if (!deadLetter || read.has(deadLetter.topic)) continue;
    read.add(deadLetter.topic);
    const place = LOCAL_STORE in known ? { name: LOCAL_STORE } : placeOf(store);
    const name = deadLetterPipelineName(deadLetter.topic);
    const isEmbedded = source.broker === EMBEDDED;
    added[name] = pipelineSchema.parse({
      source: { broker: source.broker, topic: deadLetter.topic },
      store: { ...place, path: DEAD_LETTER_PATH },
      batch: { ...(isEmbedded ? LOCAL_BATCH : {}), maxMessageBytes: MAX_MESSAGE_BYTES },
      index: index || isEmbedded ? { topic: index?.topic ?? INDEX_TOPIC, collection: name } : undefined,
    });
  }
  return { ...pipelines, ...added };
}
