import { pushingSources } from "../../adapters/registry.ts";
import type { InputFault } from "../../core/errors.ts";
import { errorText } from "../../core/errors.ts";
import { parsePathMask } from "../../core/object-name.ts";
import { nameSchema } from "./names.ts";
import { type BrokerKind, deadLetterPipelineName, type PipelineSettings, readKey, type SourceKind, topicKey } from "./pipelines.ts";

export type Pipelines = Readonly<Record<string, PipelineSettings>>;

interface Topic {
  broker: SourceKind;
  topic: string;
}

/** The parts of one machine keep what they hold in its memory and on its disk, which a function loses. */
export function* localParts(
  variable: string,
  pipelines: Pipelines,
  stores: Readonly<Record<string, { kind: string }>>,
  index: string,
): Generator<InputFault> {
  const message = "is for the local host: a function keeps no disk";
  for (const [name, pipeline] of Object.entries(pipelines)) {
    for (const part of ["source", "index", "deadLetter"] as const) {
      // Where it is the source's by default, only that is to be mended.
      const isOwn = part === "source" || pipeline.source.broker !== "embedded";
      if (isOwn && pipeline[part]?.broker === "embedded") yield { path: `${variable}.${name}.${part}.broker`, message };
    }
    if (pipeline.store.kind === "fs") yield { path: `${variable}.${name}.store.kind`, message };
  }
  for (const [name, { kind }] of Object.entries(stores)) {
    if (kind === "fs") yield { path: `PERSISTOR_STORES.${name}.kind`, message };
  }
  if (index === "sqlite") yield { path: "PERSISTOR_INDEX", message };
}

const TRIGGERING: Readonly<Record<"google" | "azure", readonly BrokerKind[]>> = {
  google: ["pubsub"],
  azure: ["service-bus", "event-hubs", "kafka"],
};

/** Index records and jobs that would lie where nothing on that cloud calls a function for them. */
export function* untriggeredFaults(
  variable: string,
  pipelines: Pipelines,
  workTopic: { broker: BrokerKind } | undefined,
  cloud: "google" | "azure",
): Generator<InputFault> {
  const brokers = TRIGGERING[cloud];
  const message = `must be a broker that triggers functions ${cloud === "azure" ? "on Azure" : "on Google Cloud"}: ${brokers.join(", ")}`;
  for (const [name, { index }] of Object.entries(pipelines)) {
    // Of the parts of one machine, and of what only pushes, other checks tell.
    const isToldOf = index?.broker === "embedded" || Object.hasOwn(pushingSources, index?.broker ?? "");
    if (index && !isToldOf && !brokers.includes(index.broker)) yield { path: `${variable}.${name}.index.broker`, message };
  }
  if (workTopic && !brokers.includes(workTopic.broker)) yield { path: "PERSISTOR_WORK_TOPIC.broker", message };
}

const SLASH = { message: "has a slash, which only a name at Service Bus may have" };

/** Names that lie in folders at a broker that has none. */
export function* slashFaults(
  variable: string,
  pipelines: Pipelines,
  destinations: Readonly<Record<string, Topic>>,
  workTopic: Topic | undefined,
): Generator<InputFault> {
  const isWrong = (topic: Topic | undefined) => topic !== undefined && topic.broker !== "service-bus" && topic.topic.includes("/");
  for (const [name, pipeline] of Object.entries(pipelines)) {
    for (const part of ["source", "index", "deadLetter"] as const) {
      if (isWrong(pipeline[part])) yield { path: `${variable}.${name}.${part}.topic`, ...SLASH };
    }
  }
  for (const [name, destination] of Object.entries(destinations)) {
    if (isWrong(destination)) yield { path: `PERSISTOR_DESTINATIONS.${name}.topic`, ...SLASH };
  }
  if (isWrong(workTopic)) yield { path: "PERSISTOR_WORK_TOPIC.topic", ...SLASH };
}

/** Kafka that is used and of which nothing is said. */
export function* missingKafka(isKafkaSet: boolean, users: readonly string[]): Generator<InputFault> {
  if (!isKafkaSet && users.length > 0) yield { path: "PERSISTOR_KAFKA", message: `must be set: ${users.join(", ")} use Kafka` };
}

/** What only pushes takes no messages, and only functions on Azure are pushed to. */
export function* pushingFaults(variable: string, pipelines: Pipelines, isOnAzure: boolean): Generator<InputFault> {
  for (const [name, { source, ...pipeline }] of Object.entries(pipelines)) {
    if (!Object.hasOwn(pushingSources, source.broker)) continue;
    const at = `${variable}.${name}`;
    if (!isOnAzure)
      yield {
        path: `${at}.source.broker`,
        message: `is for functions on Azure: ${source.broker} pushes, and nothing can be pulled from it`,
      };
    for (const part of ["index", "deadLetter"] as const) {
      if (pipeline[part] && Object.hasOwn(pushingSources, pipeline[part].broker))
        yield { path: `${at}.${part}.broker`, message: `must be set: ${source.broker} takes no messages` };
    }
  }
}

/** What only shows when the pipelines, stores and masks are seen together; `variable` is the one that holds the pipelines. */
export function* faultsTogether(variable: string, pipelines: Pipelines, stores: Readonly<Record<string, unknown>>): Generator<InputFault> {
  const readers = new Map<string, string>();
  const indexTopics = new Set(Object.values(pipelines).flatMap(({ index }) => (index ? [topicKey(index)] : [])));
  for (const [name, { source, store, index }] of Object.entries(pipelines)) {
    const at = `${variable}.${name}`;
    if (store.name !== undefined && !Object.hasOwn(stores, store.name)) {
      yield { path: `${at}.store.name`, message: `names no store of PERSISTOR_STORES (${Object.keys(stores).join(", ")})` };
    }
    const maskFault = faultOfMask(store.path);
    if (maskFault !== undefined) yield { path: `${at}.store.path`, message: maskFault };
    const { key, text, remedy } = readerOf(source);
    const other = readers.get(key);
    if (other !== undefined) yield { path: `${at}.source`, message: `reads ${text}, as pipeline ${other} does; ${remedy}` };
    readers.set(key, name);
    if (index && topicKey(index) === readKey(source)) yield { path: `${at}.index.topic`, message: "is the topic that the pipeline reads" };
    else if (indexTopics.has(readKey(source))) yield { path: `${at}.source.topic`, message: "is a topic that carries index records" };
    yield* deadLetterFaults(at, name, pipelines);
  }
}

/** Who reads as the same one would take the other's messages. Service Bus does not tell capital letters from small ones; a queue has no subscriptions. */
function readerOf(source: PipelineSettings["source"]): { key: string; text: string; remedy: string } {
  const { broker, topic, subscription } = source;
  const { deadLetterQueue = false, entity } = source as { deadLetterQueue?: boolean; entity?: string };
  const isQueue = broker === "service-bus" && entity === "queue";
  const name = isQueue ? `queue ${topic}` : `${topic} by ${subscription}`;
  const text = deadLetterQueue ? `the dead-letter queue of ${name}` : name;
  const key = `${broker}/${broker === "service-bus" ? text.toLowerCase() : text}`;
  return { key, text, remedy: isQueue ? "only one can have all its messages" : "give one another subscription" };
}

function* deadLetterFaults(at: string, name: string, pipelines: Pipelines): Generator<InputFault> {
  const { source, deadLetter } = pipelines[name] as PipelineSettings;
  if (!deadLetter) return;
  const path = `${at}.deadLetter.topic`;
  const all = Object.values(pipelines);
  const isItsSource = (each: PipelineSettings) => each.deadLetter && topicKey(each.deadLetter) === readKey(source);
  if (topicKey(source) === topicKey(deadLetter)) yield { path, message: "is the topic that the pipeline reads" };
  else if (all.some(isItsSource))
    yield {
      path: `${at}.deadLetter`,
      message: "must not be set: the pipeline stores dead letters itself, and releases what it cannot store",
    };
  if (all.some((each) => readKey(each.source) === topicKey(deadLetter))) return;
  const added = deadLetterPipelineName(deadLetter.topic);
  const remedy = `let a pipeline read ${deadLetter.topic}, or rename`;
  if (Object.hasOwn(pipelines, added))
    yield { path, message: `would be stored by a pipeline ${added}, but another has that name; ${remedy}` };
  else if (!nameSchema.safeParse(added).success) yield { path, message: `cannot name the pipeline that would store it; ${remedy}` };
}

function faultOfMask(path: string): string | undefined {
  try {
    parsePathMask(path);
  } catch (error) {
    return errorText(error);
  }
}
