import { randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EventData, EventHubProducerClient } from "@azure/event-hubs";
import { afterAll, beforeAll, onTestFinished } from "vitest";
import { freePort, type Service, startService } from "../child.ts";
import { type ServiceBusServer, startServiceBusServer } from "../service-bus-server.ts";
import type { AzureHost, AzureHostOptions } from "./host.ts";
import { startApp, TELL } from "./support-app.ts";

export interface EventHubSetup {
  hub: string;
  /** Further options of the trigger, as code; default: a batch of binaries. */
  trigger?: string;
  /** Of the handler `(input, context)`. */
  body: string;
  /** Further options of the function, as code. */
  retry?: string;
  hostJson?: object;
  options?: Partial<AzureHostOptions>;
}

export interface EventHubSuite {
  readonly server: ServiceBusServer;
  freshHub(partitions?: number): Promise<string>;
  /** A host whose function `run` a hub triggers. */
  hostOf(setup: EventHubSetup): Promise<AzureHost>;
  send(hub: string, events: readonly EventData[], partitionId?: string): Promise<void>;
  /** The sequence number of partition 0's checkpoint in a folder; undefined where there is none. */
  checkpointIn(stateDir: string, hub: string): number | undefined;
}

const MANY = 'cardinality: "many", dataType: "binary"';

export const texts = (...bodies: string[]): EventData[] => bodies.map((body) => ({ body: Buffer.from(body) }));
export const hex = (text: string) => ({ hex: Buffer.from(text).toString("hex") });

/** A folder that is removed at the test's end. */
export function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "persistor-azure-state-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a server for the tests of the file. */
export function eventHubSuite(): EventHubSuite {
  let server: ServiceBusServer;
  beforeAll(async () => {
    server = await startServiceBusServer();
  });
  afterAll(() => server?.stop());
  return {
    get server() {
      return server;
    },
    async freshHub(partitions = 1) {
      const hub = `hub-${randomUUID()}`;
      await server.createEventHub(hub, { partitions });
      return hub;
    },
    hostOf: ({ hostJson = {}, options, ...setup }) =>
      startApp(
        { code: TELL + codeOf(setup), hostJson: { extensions: { eventHubs: hostJson } } },
        { env: { HUBS: server.connectionString }, stateDir: freshFolder(), ...options },
      ),
    async send(hub, events, partitionId = "0") {
      const producer = new EventHubProducerClient(server.connectionString, hub);
      await producer.sendBatch([...events], { partitionId });
      await producer.close();
    },
    checkpointIn(stateDir, hub) {
      const path = join(stateDir, server.host, hub, encodeURIComponent("$Default"), "0.json");
      return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).sequenceNumber : undefined;
    },
  };
}

const codeOf = ({ hub, trigger = MANY, body, retry = "" }: EventHubSetup): string => `
  app.generic("run", { trigger: { type: "eventHubTrigger", name: "input", eventHubName: "${hub}", connection: "HUBS", ${trigger} }, ${retry}
    handler: async (input, context) => { ${body} } });`;

/** Starts Azure Blob Storage's emulator, in memory. */
export async function startAzurite(): Promise<{ service: Service; connectionString: string }> {
  const port = await freePort();
  const key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
  const main = join(import.meta.dirname, "../../../node_modules/azurite/dist/src/blob/main.js");
  const service = await startService({
    name: "azurite",
    command: process.execPath,
    args: [
      main,
      "--blobHost",
      "127.0.0.1",
      "--blobPort",
      String(port),
      "--inMemoryPersistence",
      "--silent",
      "--disableTelemetry",
      "--skipApiVersionCheck",
    ],
    isReady: async () => (await fetch(`http://127.0.0.1:${port}/`)).status > 0,
  });
  const endpoint = `http://127.0.0.1:${port}/devstoreaccount1`;
  return {
    service,
    connectionString: `DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=${key};BlobEndpoint=${endpoint};`,
  };
}
