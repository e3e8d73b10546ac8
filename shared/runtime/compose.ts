import type { EmbeddedBroker } from "../adapters/brokers/embedded/adapter.ts";
import { type Broker, brokers, indexes, type SourceSettings, type StoreAdapter, stores } from "../adapters/registry.ts";
import type { Clock } from "../core/clock.ts";
import { InvalidInput } from "../core/errors.ts";
import { parsePathMask } from "../core/object-name.ts";
import type { Pipeline, TopicTarget } from "../core/pipeline.ts";
import type { JobStore } from "../core/ports/job-store.ts";
import type { Log } from "../core/ports/log.ts";
import type { MetadataIndex } from "../core/ports/metadata-index.ts";
import type { ObjectStore } from "../core/ports/object-store.ts";
import type { Publisher } from "../core/ports/publisher.ts";
import type { Source } from "../core/ports/source.ts";
import type { WorkItems } from "../core/ports/work-items.ts";
import type { FlushedMeter } from "./invocation.ts";
import type { PipelineSettings } from "./settings/pipelines.ts";
import type { Settings } from "./settings/settings.ts";

type BrokerName = keyof typeof brokers;

/** Everything that a process holds open, made from the settings. */
export interface Composition {
  settings: Settings;
  clock: Clock;
  log: Log;
  meter: FlushedMeter;
  pipelines: ReadonlyMap<string, Pipeline>;
  index: MetadataIndex;
  jobs: JobStore;
  items: WorkItems;
  broker(name: BrokerName): Promise<Broker>;
  /** The broker of this machine. */
  embedded(): Promise<EmbeddedBroker>;
  /** The source of a pipeline. */
  openSource(pipeline: string): Promise<Source>;
  /** A subscription of any topic. */
  openTopic(broker: Broker, source: SourceSettings): Promise<Source>;
  /** The pipelines that write into a collection; empty where there is none of that name. */
  pipelinesOf(collection: string): readonly Pipeline[];
  collections(): { name: string; pipelines: string[] }[];
  /** The topic that a destination's name stands for. Throws InvalidInput where no destination has that name. */
  destination(name: string): Promise<TopicTarget>;
  hasDestination(name: string): boolean;
  close(): Promise<void>;
}

/** Puts something between the core and a port, such as a fault. */
export interface PortWrappers {
  store?(store: ObjectStore): ObjectStore;
  publisher?(publisher: Publisher): Publisher;
  source?(source: Source): Source;
  index?(index: MetadataIndex): MetadataIndex;
  items?(items: WorkItems): WorkItems;
}

export interface ComposeOptions {
  clock: Clock;
  log: Log;
  meter: FlushedMeter;
  wrap?: PortWrappers;
}

const EMBEDDED: BrokerName = "embedded";
const INDEX_KIND = "sqlite";
const DESTINATION_NAME = /^[A-Za-z0-9][A-Za-z0-9._~+%-]{0,254}$/;

/** Opens every port that the settings name; what was opened is closed again where one cannot be. Throws the adapters' errors. */
export async function compose(settings: Settings, options: ComposeOptions): Promise<Composition> {
  const context = { dataDir: settings.dataDir };
  const brokerSettings = { retentionHours: settings.retentionHours };
  const closers: (() => Promise<void>)[] = [];
  const opened = <T extends { close(): Promise<void> }>(port: T): T => {
    closers.push(() => port.close());
    return port;
  };
  const { wrap = {} } = options;
  const same = <T>(port: T) => port;

  const openBrokers = new Map<BrokerName, Promise<Broker>>();
  const broker = (name: BrokerName) =>
    cached(openBrokers, name, async () =>
      opened(
        withPublisher(await (await brokers[name]()).open(context, brokerSettings), (publisher) =>
          counted((wrap.publisher ?? same)(publisher), options.meter),
        ),
      ),
    );

  const openStores = new Map<string, Promise<ObjectStore>>();
  const openStore = (name: string, kind: keyof typeof stores, own: Record<string, unknown>) =>
    cached(openStores, name, async () => {
      const adapter: StoreAdapter = await stores[kind]();
      return (wrap.store ?? same)(opened(await adapter.open(own, context)));
    });

  try {
    const adapter = await indexes[INDEX_KIND]();
    const [index, { jobs, items }] = await Promise.all([
      adapter.openIndex(context).then(opened),
      adapter.openJobs(context).then((jobStore) => opened(jobStore)),
      broker(EMBEDDED),
    ]);
    const pipelines = new Map<string, Pipeline>();
    for (const [name, pipeline] of Object.entries(settings.pipelines)) {
      pipelines.set(name, await openPipeline(name, pipeline, settings, broker, openStore));
    }
    const byCollection = Map.groupBy(
      [...pipelines.values()].filter(({ index: target }) => target),
      ({ index: target }) => target?.collection as string,
    );
    const openTopic = async (from: Broker, source: SourceSettings) => (wrap.source ?? same)(await from.openSource(source));
    const destinationOf = (name: string) => {
      if (settings.destinations) return Object.hasOwn(settings.destinations, name) ? settings.destinations[name] : undefined;
      return DESTINATION_NAME.test(name) ? { broker: EMBEDDED, topic: name } : undefined;
    };
    return {
      settings,
      clock: options.clock,
      log: options.log,
      meter: options.meter,
      pipelines,
      index: (wrap.index ?? same)(index),
      jobs,
      items: (wrap.items ?? same)(items),
      broker,
      embedded: () => broker(EMBEDDED) as Promise<EmbeddedBroker>,
      async openSource(name) {
        const { source } = settings.pipelines[name] as PipelineSettings;
        const { broker: brokerName, id, topic, subscription } = source;
        return openTopic(await broker(brokerName), { id: id ?? topic, topic, subscription });
      },
      openTopic,
      pipelinesOf: (collection) => byCollection.get(collection) ?? [],
      collections: () => [...byCollection].map(([name, writers]) => ({ name, pipelines: writers.map((pipeline) => pipeline.name) })),
      async destination(name) {
        const destination = destinationOf(name);
        if (!destination)
          throw new InvalidInput(`publishing to ${name}: there is no such destination`, [{ path: "topic", message: "is no destination" }]);
        return { publisher: (await broker(destination.broker)).publisher, topic: destination.topic };
      },
      hasDestination: (name) => destinationOf(name) !== undefined,
      close: () => closeAll(closers),
    };
  } catch (error) {
    await closeAll(closers);
    throw error;
  }
}

/** Opens once and shares; an opening that failed is forgotten, so that the next call tries again. */
function cached<K, T>(open: Map<K, Promise<T>>, key: K, make: () => Promise<T>): Promise<T> {
  const found = open.get(key);
  if (found) return found;
  const made = make();
  open.set(key, made);
  made.catch(() => open.delete(key));
  return made;
}

function withPublisher(broker: Broker, wrap: (publisher: Publisher) => Publisher): Broker {
  return Object.assign(Object.create(broker) as Broker, { publisher: wrap(broker.publisher) });
}

/** Counts what a publisher sends. */
function counted(publisher: Publisher, meter: FlushedMeter): Publisher {
  return {
    limits: publisher.limits,
    cannotCarry: (content) => publisher.cannotCarry(content),
    async publish(topic, messages) {
      const outcomes = await publisher.publish(topic, messages);
      meter.add("messaging.client.sent.messages", outcomes.filter(({ ok }) => ok).length, { topic });
      return outcomes;
    },
    close: () => publisher.close(),
  };
}

async function openPipeline(
  name: string,
  { source, store, batch, index, deadLetter }: PipelineSettings,
  settings: Settings,
  broker: (name: BrokerName) => Promise<Broker>,
  openStore: (name: string, kind: keyof typeof stores, own: Record<string, unknown>) => Promise<ObjectStore>,
): Promise<Pipeline> {
  const { publisher } = await broker(source.broker);
  const storeName = store.name ?? name;
  const named = store.name === undefined ? undefined : settings.stores[store.name];
  const kind = named?.kind ?? store.kind ?? "fs";
  const dir = named ? named.dir : store.dir;
  const deadLetterTopics = new Set(Object.values(settings.pipelines).map((pipeline) => pipeline.deadLetter?.topic));
  return {
    name,
    brokerId: source.id ?? source.topic,
    topic: source.topic,
    store: {
      name: storeName,
      objects: await openStore(storeName, kind, dir === undefined ? {} : { dir }),
      prefix: store.prefix,
      mask: parsePathMask(store.path),
      format: store.format,
      codec: store.codec,
      extension: store.extension ?? (store.format === "raw" ? "bin" : "avro"),
    },
    batch,
    index: index && { publisher, topic: index.topic, collection: index.collection },
    deadLetter: deadLetter && { publisher, topic: deadLetter.topic },
    isDeadLetters: deadLetterTopics.has(source.topic),
  };
}

async function closeAll(closers: (() => Promise<void>)[]): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close();
}
