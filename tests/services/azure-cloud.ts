import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { BlobServiceClient } from "@azure/storage-blob";
import { newApiKey } from "../../shared/runtime/auth/keys.ts";
import { INDEXER_SUBSCRIPTION } from "../../shared/runtime/index-topics.ts";
import { readSettings, type Settings } from "../../shared/runtime/settings/settings.ts";
import { type AzureHost, type AzureHostOptions, startAzureHost } from "./azure-host/host.ts";
import { type Azurite, startAzurite } from "./azurite.ts";
import { type MongoServer, mongoServerMissing, startMongoServer } from "./mongo-server.ts";
import { type EntityOptions, type ServiceBusServer, startServiceBusServer } from "./service-bus-server.ts";

export interface AzureCloudOptions {
  /** As for `PERSISTOR_PIPELINES`. */
  pipelines: Readonly<Record<string, unknown>>;
  /** As for `PERSISTOR_DESTINATIONS`; topics at Service Bus are made, each with a subscription `check`. */
  destinations?: Readonly<Record<string, { broker: string; topic: string; keep?: readonly string[] }>>;
  /** More app settings. */
  environment?: Readonly<Record<string, string>>;
  /** Of all queues and subscriptions. */
  entity?: EntityOptions;
  /** Partitions of each event hub. Default 4. */
  partitions?: number;
  /** Puts something between the app and Blob Storage: returns the connection string that it is given. */
  storage?(azurite: Azurite): Promise<string>;
  /** The same for Service Bus. */
  serviceBus?(server: ServiceBusServer): Promise<string>;
  /** The same for MongoDB. */
  mongoUri?(uri: string): Promise<string>;
  /** The port of each part, by its name; default: free ones. */
  ports?: Partial<Record<"storage" | "serviceBus" | "mongodb" | "http", number>>;
  host?: Partial<AzureHostOptions>;
}

/** Azure on this machine: Blob Storage, Service Bus and Event Hubs, MongoDB's protocol, and the function app from its bundle in a local host. */
export interface AzureCloud {
  settings: Settings;
  environment: Readonly<Record<string, string>>;
  azurite: Azurite;
  serviceBus: ServiceBusServer;
  mongo: MongoServer;
  container: string;
  /** May do everything, as `Authorization: Bearer`. */
  apiKey: string;
  host: AzureHost;
  /** Starts another host over the same parts, once the one before has ended. */
  startHost(): Promise<void>;
  stop(): Promise<void>;
}

/** The built function app. */
export const AZURE_APP = fileURLToPath(new URL("../../dist/azure", import.meta.url));
const CONTAINER = "lake";
const WORKER_SUBSCRIPTION = "persistor-worker";
const CHECK_SUBSCRIPTION = "check";
/** What a subscription is to have where Persistor reads it. */
const ENTITY: EntityOptions = { maxDeliveryCount: 2_000 };

/** Why it cannot run here; undefined where it can. */
export function azureCloudMissing(): string | undefined {
  return mongoServerMissing();
}

/** Starts everything; needs the bundles of `npm run build`. What was started ends where a part of it cannot be. */
export async function startAzureCloud(options: AzureCloudOptions): Promise<AzureCloud> {
  const closers: (() => Promise<unknown>)[] = [];
  const opened = <T extends { stop(): Promise<unknown> }>(part: T): T => {
    closers.push(() => part.stop());
    return part;
  };
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    return await startParts(options, opened, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startParts(
  options: AzureCloudOptions,
  opened: <T extends { stop(): Promise<unknown> }>(part: T) => T,
  stop: () => Promise<void>,
): Promise<AzureCloud> {
  const { ports = {} } = options;
  const [azurite, serviceBus, mongo] = await Promise.all([
    startAzurite({ port: ports.storage }).then(opened),
    startServiceBusServer({ port: ports.serviceBus }).then(opened),
    startMongoServer({ port: ports.mongodb }).then(opened),
  ]);
  await BlobServiceClient.fromConnectionString(azurite.connectionString).createContainer(CONTAINER);
  const namespace = (await options.serviceBus?.(serviceBus)) ?? serviceBus.connectionString;
  const storage = (await options.storage?.(azurite)) ?? azurite.connectionString;
  const { key, sha256 } = newApiKey("local");
  const environment: Record<string, string> = {
    NODE_ENV: "production",
    AzureWebJobsStorage: azurite.connectionString,
    PERSISTOR_AZURE_STORAGE: storage,
    PERSISTOR_SERVICE_BUS: namespace,
    PERSISTOR_EVENT_HUBS: namespace,
    PERSISTOR_MONGODB_URI: (await options.mongoUri?.(mongo.uri)) ?? mongo.uri,
    PERSISTOR_MONGODB_DATABASE: `persistor-${randomBytes(4).toString("hex")}`,
    PERSISTOR_PIPELINES: JSON.stringify(options.pipelines),
    PERSISTOR_DESTINATIONS: JSON.stringify(options.destinations ?? {}),
    PERSISTOR_CURSOR_SECRET: randomBytes(32).toString("hex"),
    PERSISTOR_AUTH: JSON.stringify({
      mode: "required",
      apiKeys: [{ id: "local", sha256, grants: { read: ["*"], publish: ["*"], admin: true } }],
    }),
    ...options.environment,
  };
  const settings = readSettings(environment, "azure");
  await makeEntities(serviceBus, settings, options);
  const startHost = async () => opened(await startAzureHost({ appDir: AZURE_APP, env: environment, port: ports.http, ...options.host }));
  const cloud: AzureCloud = {
    settings,
    environment,
    azurite,
    serviceBus,
    mongo,
    container: CONTAINER,
    apiKey: key,
    host: await startHost(),
    async startHost() {
      cloud.host = await startHost();
    },
    stop,
  };
  return cloud;
}

/** Topics with their subscriptions, queues and hubs, as a deployment has them. */
async function makeEntities(server: ServiceBusServer, settings: Settings, { entity, partitions = 4 }: AzureCloudOptions): Promise<void> {
  const { pipelines, destinations = {}, workTopic } = settings;
  const options = { ...ENTITY, ...entity };
  const topics = new Map<string, Record<string, EntityOptions>>();
  const subscribe = (topic: string, subscription: string, more: EntityOptions = {}) =>
    topics.set(topic, { ...topics.get(topic), [subscription]: { ...options, ...more } });
  const hubs = new Map<string, string[]>();
  const join = (hub: string, group: string) => hubs.set(hub, [...new Set([...(hubs.get(hub) ?? []), group])]);
  for (const { source, index } of Object.values(pipelines)) {
    if (source.broker === "event-hubs") join(source.topic, source.subscription);
    if (index?.broker === "event-hubs") join(index.topic, INDEXER_SUBSCRIPTION);
    if (index?.broker === "service-bus") subscribe(index.topic, INDEXER_SUBSCRIPTION);
    if (source.broker !== "service-bus") continue;
    const { entity: kind, sessions } = source as { entity?: string; sessions?: boolean };
    const more = { requiresSession: sessions === true };
    if (kind === "queue") await server.createQueue(source.topic, { ...options, ...more });
    else subscribe(source.topic, source.subscription, more);
  }
  for (const { broker, topic } of Object.values(destinations)) {
    if (broker === "service-bus") subscribe(topic, CHECK_SUBSCRIPTION);
    if (broker === "event-hubs") join(topic, CHECK_SUBSCRIPTION);
  }
  if (workTopic?.broker === "service-bus") subscribe(workTopic.topic, WORKER_SUBSCRIPTION);
  if (workTopic?.broker === "event-hubs") join(workTopic.topic, WORKER_SUBSCRIPTION);
  for (const [topic, subscriptions] of topics) await server.createTopic(topic, subscriptions);
  for (const [hub, groups] of hubs) await server.createEventHub(hub, { partitions, consumerGroups: groups });
}
