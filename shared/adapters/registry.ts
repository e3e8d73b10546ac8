import { z } from "zod";
import type { JobStore } from "../core/ports/job-store.ts";
import type { Log } from "../core/ports/log.ts";
import type { MetadataIndex } from "../core/ports/metadata-index.ts";
import type { ObjectStore } from "../core/ports/object-store.ts";
import type { Publisher } from "../core/ports/publisher.ts";
import type { Source } from "../core/ports/source.ts";
import type { WorkItems } from "../core/ports/work-items.ts";
import { eventHubsDestinationSettings, eventHubsSourceSettings } from "./brokers/event-hubs/settings.ts";
import { kafkaDestinationSettings, kafkaSourceSettings } from "./brokers/kafka/settings.ts";
import { serviceBusSourceSettings } from "./brokers/service-bus/settings.ts";
import { azureBlobStoreSettings } from "./stores/azure-blob/settings.ts";
import { fsStoreSettings } from "./stores/fs/settings.ts";
import { gcsStoreSettings } from "./stores/gcs/settings.ts";

/** What a pipeline's `source` setting tells the broker's adapter, once validated by its schema. */
export interface SourceSettings {
  /** Becomes `broker_id` of the messages. */
  id: string;
  topic: string;
  subscription: string;
  /** What only sources of this broker are told. */
  own?: AdapterSettings;
}

/** One opened broker: one publisher, any number of sources. */
export interface Broker {
  readonly publisher: Publisher;
  openSource(settings: SourceSettings): Promise<Source>;
  close(): Promise<void>;
}

/** What every adapter is opened with besides its own settings. */
export interface AdapterContext {
  /** Folder of the embedded parts. */
  dataDir: string;
  /** Where an adapter tells the operator what it found. Default: nowhere. */
  log?: Log;
}

/** An index that may also say what slows it down. */
export interface OpenedIndex extends MetadataIndex {
  /** What the operator should mend, in a sentence; undefined where nothing is known to be wrong. */
  advice?(): string | undefined;
}

/** An adapter's own settings, by the names of its `settings.ts`; it checks them itself. */
export type AdapterSettings = Readonly<Record<string, unknown>>;

/** The job store and the work items of one database; `close` ends both, once or again. */
export interface JobDatabase {
  jobs: JobStore;
  items: WorkItems;
  close(): Promise<void>;
}

export interface BrokerAdapter {
  open(settings: AdapterSettings, context: AdapterContext): Promise<Broker>;
}

export interface StoreAdapter {
  open(settings: AdapterSettings, context: AdapterContext): Promise<ObjectStore>;
}

export interface IndexAdapter {
  openIndex(settings: AdapterSettings, context: AdapterContext): Promise<OpenedIndex>;
  openJobs(settings: AdapterSettings, context: AdapterContext): Promise<JobDatabase>;
}

/** One line per adapter: folder = key = the value in the settings. Its code loads only when a setting names it. */
export const brokers = {
  embedded: () => import("./brokers/embedded/adapter.ts"),
  pubsub: () => import("./brokers/pubsub/adapter.ts"),
  kafka: () => import("./brokers/kafka/adapter.ts"),
  "event-hubs": () => import("./brokers/event-hubs/adapter.ts"),
  "service-bus": () => import("./brokers/service-bus/adapter.ts"),
} satisfies Record<string, () => Promise<BrokerAdapter>>;

/** Where messages come from that only push them, to functions: they have no client, and so no adapter to open. */
export const pushingSources = {
  "event-grid": z.strictObject({}),
} satisfies Record<string, z.ZodObject>;

/** What a pipeline's source, and a destination, may say besides what those of every broker say. */
export const sourceSettings = {
  embedded: z.strictObject({}),
  pubsub: z.strictObject({}),
  kafka: kafkaSourceSettings,
  "event-hubs": eventHubsSourceSettings,
  "service-bus": serviceBusSourceSettings,
} satisfies Record<keyof typeof brokers, z.ZodObject>;

export const destinationSettings = {
  embedded: z.strictObject({}),
  pubsub: z.strictObject({}),
  kafka: kafkaDestinationSettings,
  "event-hubs": eventHubsDestinationSettings,
  "service-bus": z.strictObject({}),
} satisfies Record<keyof typeof brokers, z.ZodObject>;

export const stores = {
  fs: () => import("./stores/fs/adapter.ts"),
  gcs: () => import("./stores/gcs/adapter.ts"),
  "azure-blob": () => import("./stores/azure-blob/adapter.ts"),
} satisfies Record<string, () => Promise<StoreAdapter>>;

/** What a store's settings may say besides its kind. */
export const storeSettings = {
  fs: fsStoreSettings,
  gcs: gcsStoreSettings,
  "azure-blob": azureBlobStoreSettings,
} satisfies Record<keyof typeof stores, z.ZodObject>;

export const indexes = {
  sqlite: () => import("./indexes/sqlite/adapter.ts"),
  mongodb: () => import("./indexes/mongodb/adapter.ts"),
} satisfies Record<string, () => Promise<IndexAdapter>>;
