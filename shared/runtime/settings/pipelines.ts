import { z } from "zod";
import { brokers, destinationSettings, pushingSources, sourceSettings } from "../../adapters/registry.ts";
import { nameSchema, names } from "./names.ts";
import { ownFieldsOf } from "./own-fields.ts";
import { ownStoreSettings, type StoreKind, storeSchema } from "./stores.ts";

/** Those of Service Bus may lie in folders. */
export const topicSchema = z
  .string()
  .regex(
    /^(?=.{1,260}$)[A-Za-z0-9_][A-Za-z0-9._~+%-]*(\/[A-Za-z0-9_][A-Za-z0-9._~+%-]*)*$/,
    "must be a topic's name: letters, digits and -_.~+%, at most 260; at Service Bus also slashes between them",
  );

/** Event Hubs has a consumer group `$Default`. */
const subscriptionSchema = z
  .string()
  .regex(
    /^([A-Za-z0-9_][A-Za-z0-9._~+%-]{0,254}|\$Default)$/i,
    "must be a subscription's name: letters, digits and -_.~+%, at most 255, or $Default",
  );

const EMBEDDED = "embedded";

/** A topic's name as one part of a path, wherever the topic lies. */
export function flatName(topic: string): string {
  return topic.replaceAll("/", "-");
}

export type BrokerKind = keyof typeof brokers;
/** What a pipeline may read: a broker, or something that only pushes. */
export type SourceKind = BrokerKind | keyof typeof pushingSources;

const brokerSchema = z.enum(names(brokers));
const sourceKinds = { ...sourceSettings, ...pushingSources };
const ownSource = ownFieldsOf<SourceKind>("a source", sourceKinds);
const ownDestination = ownFieldsOf<BrokerKind>("a destination", destinationSettings);

/** What a source, and a destination, is told besides what those of every broker are. */
export const ownSourceSettings = ownSource.of;
export const ownDestinationSettings = ownDestination.of;

/** The same of a source with the defaults of its kind. */
export function wholeSourceSettings(kind: SourceKind, source: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return sourceKinds[kind].parse(ownSource.of(kind, source));
}

const sourceSchema = z
  .strictObject({
    broker: z.enum(names(sourceKinds)).default(EMBEDDED).describe("Adapter of the broker, or `event-grid`."),
    topic: topicSchema.describe("Topic that is read."),
    subscription: subscriptionSchema
      .optional()
      .describe(
        "Subscription of that topic; at Kafka and Event Hubs the consumer group. Default: `persistor` at the embedded broker, elsewhere the topic's name, its slashes as dashes, and `-persistor`.",
      ),
    id: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe("Becomes `broker_id`, the first part of each message's identity. Default: the topic's name, its slashes as dashes."),
    ...ownSource.shape,
  })
  .superRefine((source, context) => ownSource.check(source.broker, source, context))
  .transform((source) => ({
    ...source,
    subscription: source.subscription ?? (source.broker === EMBEDDED ? "persistor" : `${flatName(source.topic)}-persistor`),
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
      .describe("Longest wait for a fuller batch, in milliseconds, where the local host pulls; functions that drain wait 2 seconds."),
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

const besideBroker = z
  .enum(names(brokers))
  .optional()
  .describe("Broker of that topic. Default: `embedded` on the local host, elsewhere the source's.");

const indexSchema = z
  .strictObject({
    broker: besideBroker,
    topic: topicSchema.default("persistor-index").describe("Topic that carries index records to the indexer."),
    collection: nameSchema.describe("Collection of the index; several pipelines may share one."),
  })
  .describe("Absent: persisting alone; the index can be built later from what is stored.");

const deadLetterSchema = z
  .strictObject({
    broker: besideBroker,
    topic: topicSchema.default("persistor-dead-letter").describe("Topic for what can never be handled."),
  })
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

export const destinationSchema = z
  .strictObject({
    broker: brokerSchema.describe("Adapter of the broker."),
    topic: topicSchema.describe("Topic at that broker."),
    ...ownDestination.shape,
  })
  .superRefine((destination, context) => ownDestination.check(destination.broker, destination, context));

export const destinationsSchema = z.record(nameSchema, destinationSchema);

type ParsedPipeline = z.output<typeof pipelineSchema>;

/** A pipeline, complete: with the broker of each of its topics. */
export interface PipelineSettings extends Omit<ParsedPipeline, "index" | "deadLetter"> {
  index?: NonNullable<ParsedPipeline["index"]> & { broker: BrokerKind };
  deadLetter?: NonNullable<ParsedPipeline["deadLetter"]> & { broker: BrokerKind };
}

/** Says of each topic that pipelines write to at which broker it is: at `beside` where they do not tell, and by default at the source's. */
export function withBrokers(pipelines: Readonly<Record<string, ParsedPipeline>>, beside?: BrokerKind): Record<string, PipelineSettings> {
  return Object.fromEntries(
    Object.entries(pipelines).map(([name, { index, deadLetter, ...pipeline }]) => {
      // What only pushes takes no messages; the settings' checks ask for another.
      const broker = beside ?? (pipeline.source.broker as BrokerKind);
      return [
        name,
        {
          ...pipeline,
          index: index && { ...index, broker: index.broker ?? broker },
          deadLetter: deadLetter && { ...deadLetter, broker: deadLetter.broker ?? broker },
        },
      ];
    }),
  );
}

/** Tells topics of the same name at several brokers apart. */
export function topicKey({ broker, topic }: { broker: SourceKind; topic: string }): string {
  return `${broker}/${topic}`;
}

/** Tells apart what is read: a topic, and the queue of dead letters that a broker keeps beside it. */
export function readKey(source: PipelineSettings["source"]): string {
  const { deadLetterQueue = false } = source as { deadLetterQueue?: boolean };
  return deadLetterQueue ? `${topicKey(source)}/$deadletterqueue` : topicKey(source);
}

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

function placeOf(store: ParsedPipeline["store"]): Record<string, unknown> {
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
  const read = new Set(Object.values(pipelines).map(({ source }) => readKey(source)));
  const added: Record<string, PipelineSettings> = {};
  for (const { deadLetter, store, index } of Object.values(pipelines)) {
    if (!deadLetter || read.has(topicKey(deadLetter))) continue;
    read.add(topicKey(deadLetter));
    const { broker, topic } = deadLetter;
    const place = LOCAL_STORE in known ? { name: LOCAL_STORE } : placeOf(store);
    const name = deadLetterPipelineName(topic);
    const isEmbedded = broker === EMBEDDED;
    const parsed = pipelineSchema.parse({
      source: { broker, topic },
      store: { ...place, path: DEAD_LETTER_PATH },
      batch: { ...(isEmbedded ? LOCAL_BATCH : {}), maxMessageBytes: MAX_MESSAGE_BYTES },
      index: index || isEmbedded ? { topic: index?.topic ?? INDEX_TOPIC, collection: name } : undefined,
    });
    Object.assign(added, withBrokers({ [name in added ? `${name}-${broker}` : name]: parsed }, index?.broker ?? broker));
  }
  return { ...pipelines, ...added };
}
