import {
  type AdapterSettings,
  type Broker,
  brokers,
  indexes,
  type JobDatabase,
  type OpenedIndex,
  type SourceSettings,
  type StoreAdapter,
  stores,
} from "../adapters/registry.ts";
import type { Clock } from "../core/clock.ts";
import { InvalidInput, Unsupported } from "../core/errors.ts";
import { parsePathMask } from "../core/object-name.ts";
import type { Pipeline, TopicTarget } from "../core/pipeline.ts";
import type { Log } from "../core/ports/log.ts";
import type { ObjectStore } from "../core/ports/object-store.ts";
import type { Publisher } from "../core/ports/publisher.ts";
import type { Source } from "../core/ports/source.ts";
import type { WorkItems } from "../core/ports/work-items.ts";
import type { FlushedMeter } from "./invocation.ts";
import { openedOnce } from "./opened-once.ts";
import {
  flatName,
  ownDestinationSettings,
  ownSourceSettings,
  type PipelineSettings,
  readKey,
  type SourceKind,
  topicKey,
} from "./settings/pipelines.ts";
import type { Settings } from "./settings/settings.ts";
import { ownStoreSettings, type StoreKind } from "./settings/stores.ts";
import { createSourceStates, type SourceStates } from "./source-states.ts";

export type BrokerName = keyof typeof brokers;

/** What a process may open, each at its first use and then shared; what could not be opened is tried again at the next use. */
export interface Ports {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: FlushedMeter;
  /** How the sources fare that this process pulls from. */
  readonly sources: SourceStates;
  /** A pipeline with its ports open. Throws InvalidInput where the settings name none; the adapters' errors. */
  pipeline(name: string): Promise<Pipeline>;
  index(): Promise<OpenedIndex>;
  jobs(): Promise<JobDatabase>;
  broker(name: BrokerName): Promise<Broker>;
  /** The source of a pipeline. */
  openSource(pipeline: string): Promise<Source>;
  /** A subscription of any topic. */
  openTopic(broker: Broker, source: SourceSettings): Promise<Source>;
  /** The collections that pipelines write into. */
  collections(): { name: string; pipelines: string[] }[];
  /** The topic that a destination's name stands for. Throws InvalidInput where no destination has that name. */
  destination(name: string): Promise<TopicTarget>;
  hasDestination(name: string): boolean;
  /** Closes what was opened, the last first. */
  close(): Promise<void>;
}

/** Puts something between the core and a port, such as a fault. */
export interface PortWrappers {
  store?(store: ObjectStore): ObjectStore;
  publisher?(publisher: Publisher): Publisher;
  source?(source: Source): Source;
  index?(index: OpenedIndex): OpenedIndex;
  items?(items: WorkItems): WorkItems;
}

export interface PortOptions {
  clock: Clock;
  log: Log;
  meter: FlushedMeter;
  wrap?: PortWrappers;
}

const EMBEDDED: BrokerName = "embedded";
const DESTINATION_NAME = /^[A-Za-z0-9][A-Za-z0-9._~+%-]{0,254}$/;

/** The ports that the settings name; none is open yet. */
export function createPorts(settings: Settings, { clock, log, meter, wrap = {} }: PortOptions): Ports {
  const context = { dataDir: settings.dataDir, log };
  const closers: (() => Promise<void>)[] = [];
  const opened = <T extends { close(): Promise<void> }>(port: T): T => {
    closers.push(() => port.close());
    return port;
  };
  const same = <T>(port: T) => port;
  const shared = (adapter: string): AdapterSettings => settings.adapters[adapter] ?? {};

  const broker = openedOnce(async (name: BrokerName) => {
    const adapter = await brokers[name]();
    return withPublisher(opened(await adapter.open(shared(name), context)), (publisher) =>
      counted((wrap.publisher ?? same)(publisher), meter),
    );
  });
  const store = openedOnce(async (_name: string, kind: StoreKind, own: AdapterSettings) => {
    const adapter: StoreAdapter = await stores[kind]();
    return (wrap.store ?? same)(opened(await adapter.open({ ...shared(kind), ...own }, context)));
  });
  const pipeline = openedOnce(async (name: string) => {
    if (!Object.hasOwn(settings.pipelines, name)) throw new InvalidInput(`opening pipeline ${name}: the settings name none of that name`);
    return openPipeline(name, settings, broker, store);
  });
  const index = openedOnce(async () => {
    const adapter = await indexes[settings.index]();
    return (wrap.index ?? same)(opened(await adapter.openIndex(shared(settings.index), context)));
  });
  const jobs = openedOnce(async () => {
    const adapter = await indexes[settings.index]();
    const database = opened(await adapter.openJobs(shared(settings.index), context));
    return { ...database, items: (wrap.items ?? same)(database.items) };
  });
  const openTopic = async (from: Broker, source: SourceSettings) => (wrap.source ?? same)(await from.openSource(source));
  const destinationOf = (name: string) => {
    if (settings.destinations) return Object.hasOwn(settings.destinations, name) ? settings.destinations[name] : undefined;
    return DESTINATION_NAME.test(name) ? ({ broker: EMBEDDED, topic: name } as const) : undefined;
  };
  return {
    settings,
    clock,
    log,
    meter,
    sources: createSourceStates(clock, log),
    pipeline,
    index,
    jobs,
    broker,
    async openSource(name) {
      const { source } = settings.pipelines[name] as PipelineSettings;
      const { topic, subscription } = source;
      if (!isBroker(source.broker)) throw new Unsupported(`opening the source of pipeline ${name}: ${source.broker} only pushes`);
      const own = ownSourceSettings(source.broker, source);
      return openTopic(await broker(source.broker), { id: brokerIdOf(source), topic, subscription, own });
    },
    openTopic,
    collections: () => collectionsOf(settings),
    async destination(name) {
      const destination = destinationOf(name);
      if (!destination)
        throw new InvalidInput(`publishing to ${name}: there is no such destination`, [{ path: "topic", message: "is no destination" }]);
      const { publisher } = await broker(destination.broker);
      return { publisher, topic: destination.topic, ...ownDestinationSettings(destination.broker, destination) };
    },
    hasDestination: (name) => destinationOf(name) !== undefined,
    async close() {
      for (const close of closers.splice(0).reverse()) await close();
    },
  };
}

function isBroker(kind: SourceKind): kind is BrokerName {
  return Object.hasOwn(brokers, kind);
}

/** The broker id of a source's messages: one that stands in a URL's path as it is. */
export function brokerIdOf({ id, topic }: PipelineSettings["source"]): string {
  return id ?? flatName(topic);
}

function collectionsOf({ pipelines }: Settings): { name: string; pipelines: string[] }[] {
  const writers = Object.entries(pipelines).flatMap(([name, { index }]) => (index ? [{ name, collection: index.collection }] : []));
  return [...Map.groupBy(writers, ({ collection }) => collection)].map(([name, group]) => ({
    name,
    pipelines: group.map((writer) => writer.name),
  }));
}

function withPublisher(broker: Broker, wrap: (publisher: Publisher) => Publisher): Broker {
  return Object.assign(Object.create(broker) as Broker, { publisher: wrap(broker.publisher) });
}

/** Counts what a publisher sends. */
function counted(publisher: Publisher, meter: FlushedMeter): Publisher {
  return {
    limits: publisher.limits,
    adapt: (content) => publisher.adapt(content),
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
  settings: Settings,
  broker: (name: BrokerName) => Promise<Broker>,
  openStore: (name: string, kind: StoreKind, own: AdapterSettings) => Promise<ObjectStore>,
): Promise<Pipeline> {
  const { source, store, batch, index, deadLetter } = settings.pipelines[name] as PipelineSettings;
  const storeName = store.name ?? name;
  const place = (store.name === undefined ? store : settings.stores[store.name]) as { kind: StoreKind };
  const deadLetters = Object.values(settings.pipelines).flatMap((pipeline) => (pipeline.deadLetter ? [topicKey(pipeline.deadLetter)] : []));
  // Without index and dead-letter topic nothing is published: the broker need not be opened.
  const target = async (to: { broker: BrokerName; topic: string }) => ({ publisher: (await broker(to.broker)).publisher, topic: to.topic });
  return {
    name,
    brokerId: brokerIdOf(source),
    topic: source.topic,
    store: {
      name: storeName,
      objects: await openStore(storeName, place.kind, ownStoreSettings(place.kind, place)),
      prefix: store.prefix,
      mask: parsePathMask(store.path),
      format: store.format,
      codec: store.codec,
      extension: store.extension ?? (store.format === "raw" ? "bin" : "avro"),
    },
    batch,
    index: index && { ...(await target(index)), collection: index.collection },
    deadLetter: deadLetter && (await target(deadLetter)),
    isDeadLetters: deadLetters.includes(readKey(source)),
  };
}
