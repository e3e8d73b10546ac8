import { fileURLToPath } from "node:url";
import { answers, freePort, startService } from "./child.ts";
import type { LinkFault } from "./service-bus/faults.ts";
import { givenServiceBus } from "./service-bus/given.ts";
import type { EntityOptions } from "./service-bus/options.ts";
import type { Outage } from "./service-bus/outages.ts";
import type { Counts, DetachRequest, HubOptions, PeekedMessage, ServerSettings, Usage } from "./service-bus/shapes.ts";

export type { LinkFault } from "./service-bus/faults.ts";
export type { EntityOptions } from "./service-bus/options.ts";
export type { Outage } from "./service-bus/outages.ts";
export type { Counts, HubOptions, PeekedMessage, Usage } from "./service-bus/shapes.ts";

/** A server that stands in for Azure Service Bus and Azure Event Hubs: all in memory, in a process of its own. */
export interface ServiceBusServer {
  /** `given`: by `PERSISTOR_TEST_SERVICE_BUS`, and not all of this is there. */
  readonly kind: "given" | "own";
  /** For the SDKs of both: plain AMQP on the port that it names. */
  readonly connectionString: string;
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  createQueue(name: string, options?: EntityOptions): Promise<void>;
  createTopic(name: string, subscriptions: Readonly<Record<string, EntityOptions>>): Promise<void>;
  createEventHub(name: string, options: HubOptions): Promise<void>;
  /** Its links are detached. */
  deleteEntity(name: string): Promise<void>;
  /** Of a queue, a subscription (`topic/Subscriptions/name`), the dead-letter queue of one (`.../$DeadLetterQueue`), a hub, `hub/Partitions/n`. */
  counts(entity: string): Promise<Counts>;
  /** The first that lie in it, in their order; `limit`: default 1,000. */
  messages(entity: string, limit?: number): Promise<PeekedMessage[]>;
  /** Puts encoded messages into a queue, all subscriptions of a topic, or a hub (`partition`; default: each in turn), without AMQP. */
  load(entity: string, messages: readonly Uint8Array[], partition?: number): Promise<void>;
  /** Forgets the events of a partition before a sequence number. */
  truncate(hub: string, partition: number, before: number): Promise<void>;
  /** Lets all locks of messages and sessions expire; returns how many. */
  expireLocks(entity: string): Promise<number>;
  /** How many links clients have to an address and all below it (default: to all), also those whose attach waits for a session. */
  links(entity?: string): Promise<number>;
  /** Cuts all connections; returns how many. */
  dropConnections(): Promise<number>;
  /** Detaches the links to an address and all below it, or all, with an error; returns how many. */
  detachLinks(error: DetachRequest): Promise<number>;
  /** Lets something go wrong at links, until it is used up or `clearFaults`. */
  injectFault(fault: LinkFault): Promise<void>;
  /** Lets something go wrong with connections, for a time. */
  beginOutage(outage: Outage): Promise<void>;
  /** Ends what was injected and the outages under way. */
  clearFaults(): Promise<void>;
  /** The tokens of identities (`jwt`) that are taken from now on; at first none. */
  allowIdentityTokens(tokens: readonly string[]): Promise<void>;
  /** Processor time and memory of the server. */
  usage(): Promise<Usage>;
  /** What it wrote last, to standard output and error. */
  output(): string;
  stop(): Promise<void>;
}

export interface ServiceBusServerOptions {
  /** Default: a free one. */
  port?: number;
  /** Name and secret of its shared access key. */
  keyName?: string;
  key?: string;
}

const MAIN = fileURLToPath(new URL("./service-bus/main.ts", import.meta.url));
const KEY_NAME = "RootManageSharedAccessKey";
const KEY = "U0VSVklDRS1CVVMtVEVTVC1TRVJWRVItS0VZLU5PLVNFQ1JFVA==";

/** Starts a server without entities on free ports of 127.0.0.1. */
export async function startServiceBusServer(options: ServiceBusServerOptions = {}): Promise<ServiceBusServer> {
  const { keyName = KEY_NAME, key = KEY } = options;
  const host = "127.0.0.1";
  const port = options.port ?? (await freePort());
  const settings: ServerSettings = { port, controlPort: await freePort(), keyName, key };
  const control = `http://${host}:${settings.controlPort}`;
  const service = await startService({
    name: "service-bus-server",
    command: process.execPath,
    args: ["--disable-warning=ExperimentalWarning", MAIN, JSON.stringify(settings)],
    isReady: () => answers(`${control}/ready`),
  });
  const ask = asking(control);
  return {
    kind: "own",
    connectionString: `Endpoint=sb://${host}:${port};SharedAccessKeyName=${keyName};SharedAccessKey=${key};UseDevelopmentEmulator=true`,
    host,
    port,
    get pid() {
      return service.pid;
    },
    output: service.output,
    stop: service.stop,
    createQueue: (name, options = {}) => ask("create-queue", { name, options }),
    createTopic: (name, subscriptions) => ask("create-topic", { name, subscriptions }),
    createEventHub: (name, options) => ask("create-event-hub", { name, options }),
    deleteEntity: (name) => ask("delete-entity", { name }),
    counts: (entity) => ask("counts", { entity }),
    messages: async (entity, limit) => (await ask<StoredForm[]>("messages", { entity, limit })).map(peekedMessage),
    load: (entity, messages, partition) => ask("load", { entity, messages: messages.map(base64), partition }),
    truncate: (hub, partition, before) => ask("truncate", { hub, partition, before }),
    expireLocks: (entity) => ask("expire-locks", { entity }),
    links: (entity) => ask("links", { entity }),
    dropConnections: () => ask("drop-connections", {}),
    detachLinks: (error) => ask("detach-links", error),
    injectFault: (fault) => ask("inject-fault", fault),
    beginOutage: (outage) => ask("begin-outage", outage),
    clearFaults: () => ask("clear-faults", {}),
    allowIdentityTokens: (tokens) => ask("identity-tokens", { tokens }),
    usage: () => ask("usage", {}),
  };
}

/** The namespace or emulator whose connection string `PERSISTOR_TEST_SERVICE_BUS` holds, else a server of the tests' own. */
export async function givenOrOwnServiceBus(options: ServiceBusServerOptions = {}): Promise<ServiceBusServer> {
  const given = process.env.PERSISTOR_TEST_SERVICE_BUS;
  return given ? givenServiceBus(given) : startServiceBusServer(options);
}

const asking =
  (control: string) =>
  async <T>(operation: string, argument: unknown): Promise<T> => {
    const response = await fetch(`${control}/${operation}`, { method: "POST", body: JSON.stringify(argument) });
    const result = await response.json();
    if (!response.ok) throw new Error((result as { error: string }).error);
    return result as T;
  };

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

/** As it comes over the control port. */
type StoredForm = Omit<PeekedMessage, "bytes" | "enqueuedAt" | "lockedUntil"> & {
  bytes: string;
  enqueuedAtMs: number;
  lockedUntilMs?: number;
};

const peekedMessage = ({ bytes, enqueuedAtMs, lockedUntilMs, ...others }: StoredForm): PeekedMessage => ({
  ...others,
  bytes: Buffer.from(bytes, "base64"),
  enqueuedAt: new Date(enqueuedAtMs),
  lockedUntil: lockedUntilMs === undefined ? undefined : new Date(lockedUntilMs),
});
