import { randomUUID } from "node:crypto";
import { ServiceBusClient, type ServiceBusMessage } from "@azure/service-bus";
import { afterAll, beforeAll } from "vitest";
import { type EntityOptions, type ServiceBusServer, startServiceBusServer } from "../service-bus-server.ts";
import type { AzureHost, AzureHostOptions } from "./host.ts";
import { startApp, TELL } from "./support-app.ts";

export interface ServiceBusSetup {
  /** Further options of the trigger, as code. */
  trigger?: string;
  /** Of the handler `(input, context)`; with the SDK binding `({ messages, actions }, context)`. */
  body: string;
  /** Before the function. */
  head?: string;
  queue?: EntityOptions;
  hostJson?: object;
  options?: Partial<AzureHostOptions>;
}

export interface RunningQueue {
  host: AzureHost;
  queue: string;
  send(...messages: ServiceBusMessage[]): Promise<void>;
}

export interface ServiceBusSuite {
  readonly server: ServiceBusServer;
  /** A queue, and a host whose function `run` it triggers. */
  running(setup: ServiceBusSetup): Promise<RunningQueue>;
  /** The same with the SDK binding, which settles by itself. */
  runningSdk(setup: ServiceBusSetup): Promise<RunningQueue>;
  send(entity: string, messages: readonly ServiceBusMessage[]): Promise<void>;
}

export const MANY_BINARY = 'cardinality: "many", dataType: "binary"';

/** Two copies of the extensions' base package are installed, each with a registry of its own: the app joins them. */
const EXTENSION = `
  require("@azure/functions-extensions-servicebus");
  const { createRequire } = require("node:module");
  const own = createRequire(require.resolve("@azure/functions-extensions-servicebus"))("@azure/functions-extensions-base");
  const base = require("@azure/functions-extensions-base");
  const NAME = "AzureServiceBusReceivedMessage";
  if (!base.ResourceFactoryResolver.getInstance().hasResourceFactory(NAME)) {
    base.ResourceFactoryResolver.getInstance().registerResourceFactory(NAME, (data) => own.ResourceFactoryResolver.getInstance().createClient(NAME, data));
  }`;

export const bodies = (...texts: string[]): ServiceBusMessage[] => texts.map((text) => ({ body: Buffer.from(text) }));

/** Starts a server for the tests of the file. */
export function serviceBusSuite(): ServiceBusSuite {
  let server: ServiceBusServer;
  beforeAll(async () => {
    server = await startServiceBusServer();
  });
  afterAll(() => server?.stop());
  const start = async (
    code: (queue: string) => string,
    { queue: entity, hostJson = {}, options }: ServiceBusSetup,
  ): Promise<RunningQueue> => {
    const queue = `queue-${randomUUID()}`;
    await server.createQueue(queue, entity);
    const host = await startApp(
      { code: TELL + code(queue), hostJson: { extensions: { serviceBus: hostJson } } },
      { env: { QUEUE: queue, BUS: server.connectionString }, ...options },
    );
    return { host, queue, send: (...messages) => send(queue, messages) };
  };
  const send = async (entity: string, messages: readonly ServiceBusMessage[]) => {
    const client = new ServiceBusClient(server.connectionString);
    await client.createSender(entity).sendMessages([...messages]);
    await client.close();
  };
  return {
    get server() {
      return server;
    },
    send,
    running: (setup) => start(() => classicCode(setup), setup),
    runningSdk: (setup) => start((queue) => sdkCode(queue, setup), setup),
  };
}

const classicCode = ({ trigger = "", body, head = "", queue }: ServiceBusSetup): string => `${head}
  app.generic("run", { trigger: { type: "serviceBusTrigger", name: "input", queueName: "%QUEUE%", connection: "BUS",
    isSessionsEnabled: ${queue?.requiresSession === true}, ${trigger} }, handler: async (input, context) => { ${body} } });`;

const sdkCode = (name: string, { trigger = 'cardinality: "many"', body, head = "", queue }: ServiceBusSetup): string => `${EXTENSION}${head}
  app.serviceBusQueue("run", { queueName: "${name}", connection: "BUS", sdkBinding: true, autoCompleteMessages: false,
    isSessionsEnabled: ${queue?.requiresSession === true}, ${trigger}, handler: async ({ messages, actions }, context) => { ${body} } });`;
