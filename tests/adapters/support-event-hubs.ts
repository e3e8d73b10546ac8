import { BlobServiceClient } from "@azure/storage-blob";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { open } from "../../shared/adapters/brokers/event-hubs/adapter.ts";
import { type Checkpoints, createCheckpoints, type GroupName } from "../../shared/adapters/brokers/event-hubs/source/checkpoints.ts";
import type { Broker } from "../../shared/adapters/registry.ts";
import { type Log, type LogFields, NO_LOG } from "../../shared/core/ports/log.ts";
import type { OutgoingMessage } from "../../shared/core/ports/publisher.ts";
import type { Source } from "../../shared/core/ports/source.ts";
import { messageOf } from "../contract/support-messages.ts";
import { type Azurite, startAzurite } from "../services/azurite.ts";
import { type HubOptions, type ServiceBusServer, startServiceBusServer } from "../services/service-bus-server.ts";
import { freshTopic } from "./support-sources.ts";

export const GROUP = "persistor";
const CONTAINER = "persistor-checkpoints";

export interface EventHubsInTests {
  /** The servers, once the suite runs. */
  server(): ServiceBusServer;
  azurite(): Azurite;
  /** What a broker is opened with. */
  settings(): Record<string, unknown>;
  /** What was logged as a warning or an error. */
  lines: { event: string; fields: LogFields }[];
  openBroker(settings?: Record<string, unknown>): Promise<Broker>;
  /** A source of a broker of its own. */
  openSource(hub: string, own?: Record<string, unknown>, settings?: Record<string, unknown>): Promise<Source>;
  /** An event hub of a fresh name with the consumer group of the tests. */
  hubOf(partitions?: number, options?: Partial<HubOptions>): Promise<string>;
  /** Publishes texts, to a partition; each must be taken. */
  publish(hub: string, payloads: readonly string[], toPartition?: string): Promise<void>;
  /** Sequence numbers that the group has come to, by partition. */
  checkpoints(hub: string): Promise<Record<string, number>>;
  storage(): Checkpoints;
  groupOf(hub: string): GroupName;
}

/** Starts an Event Hubs and a Blob Storage for the tests of this suite, with brokers that are closed after each. */
export function useEventHubs(): EventHubsInTests {
  let server: ServiceBusServer;
  let azurite: Azurite;
  const opened: Broker[] = [];
  const lines: EventHubsInTests["lines"] = [];
  const note = (event: string, fields: LogFields = {}) => void lines.push({ event, fields });
  const log: Log = { ...NO_LOG, warn: note, error: note };
  beforeAll(async () => {
    [server, azurite] = await Promise.all([startServiceBusServer(), startAzurite()]);
  });
  afterEach(async () => {
    await server.clearFaults();
    await Promise.all(opened.splice(0).map((broker) => broker.close()));
    lines.splice(0);
  });
  afterAll(async () => {
    await server?.stop();
    await azurite?.stop();
  });
  const settings = () => ({ connectionString: server.connectionString, storage: { connectionString: azurite.connectionString } });
  const openBroker = async (more: Record<string, unknown> = {}): Promise<Broker> => {
    const broker = await open({ ...settings(), ...more }, { dataDir: "", log });
    opened.push(broker);
    return broker;
  };
  const storage = () => createCheckpoints(BlobServiceClient.fromConnectionString(azurite.connectionString).getContainerClient(CONTAINER));
  const groupOf = (hub: string): GroupName => ({
    fullyQualifiedNamespace: server.host,
    eventHubName: hub,
    consumerGroup: GROUP,
  });
  return {
    server: () => server,
    azurite: () => azurite,
    settings,
    lines,
    openBroker,
    storage,
    groupOf,
    async openSource(hub, own = {}, more = {}) {
      return (await openBroker(more)).openSource({ id: hub, topic: hub, subscription: GROUP, own });
    },
    async hubOf(partitions = 1, options = {}) {
      const hub = freshTopic("orders");
      await server.createEventHub(hub, { partitions, consumerGroups: [GROUP], ...options });
      return hub;
    },
    async publish(hub, payloads, toPartition) {
      const { publisher } = await openBroker();
      const messages = payloads.map((payload): OutgoingMessage => ({ ...messageOf(payload), ...(toPartition && { toPartition }) }));
      const outcomes = await publisher.publish(hub, messages);
      expect(outcomes.filter(({ ok }) => !ok)).toEqual([]);
    },
    async checkpoints(hub) {
      const found = await storage().list(groupOf(hub));
      return Object.fromEntries([...found].map(([partition, { sequenceNumber }]) => [partition, sequenceNumber]));
    },
  };
}
