import { randomUUID } from "node:crypto";
import type { Checkpoint } from "@azure/event-hubs";
import { BlobCheckpointStore } from "@azure/eventhubs-checkpointstore-blob";
import { ContainerClient } from "@azure/storage-blob";
import { expect } from "vitest";
import { createConnecting } from "../../shared/adapters/brokers/kafka/connecting.ts";
import { createCoordinator } from "../../shared/adapters/brokers/kafka/group/coordinator.ts";
import { committedOffsets } from "../../shared/adapters/brokers/kafka/group/offsets.ts";
import { kafkaSettings } from "../../shared/adapters/brokers/kafka/settings.ts";
import { brokers } from "../../shared/adapters/registry.ts";
import { digestOf } from "../../shared/core/digest.ts";
import type { MessageContent } from "../../shared/core/message.ts";
import type { BrokerKind } from "../../shared/runtime/settings/pipelines.ts";
import type { AzureCloud, AzureCloudOptions } from "../services/azure-cloud.ts";
import { connectionStringOf } from "../services/azurite.ts";
import { type FaultProxy, startFaultProxy } from "../services/fault-proxy.ts";
import { audited, countOf, flight, indexed, stored, until } from "./support-azure.ts";

const PUBLISHED_AT_ONCE = 5_000;
/** Longer than anyone waits. */
const HELD_MS = 120_000;

/** Batches that are not full are handed over soon. */
export const QUICK = {
  AzureFunctionsJobHost__extensions__serviceBus__maxBatchWaitTime: "00:00:00.5",
  AzureFunctionsJobHost__extensions__eventHubs__maxWaitTime: "00:00:00.5",
};

export const flights = (count: number, from = 0): MessageContent[] => Array.from({ length: count }, (_, i) => flight(from + i));

/** Publishes contents to a topic of any broker; returns the digest of each in the form that this broker gives it. */
export async function publishTo(
  { settings }: AzureCloud,
  kind: BrokerKind,
  topic: string,
  contents: readonly MessageContent[],
): Promise<string[]> {
  const broker = await (await brokers[kind]()).open(settings.adapters[kind] ?? {}, { dataDir: "" });
  const adapted = contents.map((content) => broker.publisher.adapt(content));
  try {
    for (let from = 0; from < adapted.length; from += PUBLISHED_AT_ONCE) {
      const messages = adapted.slice(from, from + PUBLISHED_AT_ONCE).map((content) => ({ ...content, messageId: randomUUID() }));
      for (const outcome of await broker.publisher.publish(topic, messages)) if (!outcome.ok) throw outcome.error;
    }
  } finally {
    await broker.close();
  }
  return adapted.map((content) => digestOf(content).toString("hex"));
}

/** Runs a timer function once, as the admin API does; it answers at once. */
export async function runTimer({ host }: AzureCloud, name: string): Promise<void> {
  const headers = { "x-functions-key": host.keys.master, "content-type": "application/json" };
  const { status } = await fetch(`${host.url}/admin/functions/${name}`, { method: "POST", headers, body: "{}" });
  if (status !== 202) throw new Error(`running ${name}: the host answered ${status}`);
}

/** How often a function ended, well or not. */
export function endedRuns({ host }: AzureCloud, name: string): { succeeded: number; failed: number } {
  const { succeeded = 0, failed = 0 } = host.invocations()[name] ?? {};
  return { succeeded, failed };
}

/** Runs a pipeline's timer, each time to its end, until so many messages are stored. */
export async function drain(cloud: AzureCloud, pipeline: string, folder: string, count: number): Promise<void> {
  const name = `persist-${pipeline}`;
  await until(`${count} messages drained by ${pipeline}`, async () => {
    const { succeeded } = endedRuns(cloud, name);
    await runTimer(cloud, name);
    await until(`the end of ${name}`, () => endedRuns(cloud, name).succeeded > succeeded);
    return (await storedIds(cloud, folder)).size >= count;
  });
}

/** A proxy before Blob Storage as the app sees it, which can refuse; the host's own state lies behind no proxy. */
export interface ProxiedStorage {
  option: Pick<AzureCloudOptions, "storage">;
  /** Every write of an object is refused, until `allow`. */
  refuse(): void;
  /** From now on one object is written, and the writes of all others hang, until `allow`. */
  holdAfterOne(): void;
  allow(): void;
  /** How many writes hang or hung. */
  held(): number;
  /** How many requests were refused. */
  refused(): number;
  close(): Promise<void>;
}

export function proxiedStorage(): ProxiedStorage {
  let proxy: FaultProxy | undefined;
  let refusals = 0;
  let holds = 0;
  const opened = () => {
    if (!proxy) throw new Error("using the proxy of Blob Storage: the cloud has not started");
    return proxy;
  };
  const matches = () => {
    refusals++;
    return true;
  };
  return {
    option: {
      async storage({ origin, account, key }) {
        proxy = await startFaultProxy(origin);
        return connectionStringOf({ account, key, url: `${proxy.url}/${account}` });
      },
    },
    refuse: () => opened().fail({ kind: "answer", status: 503, headers: { "x-ms-error-code": "ServerBusy" }, matches }),
    holdAfterOne() {
      let puts = 0;
      const isHeld = ({ method, url }: { method: string; url: string }) => {
        if (method !== "PUT" || !url.includes("/lake/") || ++puts === 1) return false;
        holds++;
        return true;
      };
      opened().fail({ kind: "delay", delayMs: HELD_MS, matches: isHeld });
    },
    allow: () => opened().fail(null),
    held: () => holds,
    refused: () => refusals,
    close: async () => proxy?.close(),
  };
}

/** Whether all of these, and nothing else, are stored unaltered and indexed once each; a redelivery may lie in several objects. */
export async function expectWhole(cloud: AzureCloud, pipeline: string, folder: string, digests: readonly string[]): Promise<void> {
  await indexed(cloud, pipeline, digests.length);
  expect(await countOf(cloud, pipeline)).toBe(digests.length);
  const byId = new Map((await stored(cloud, folder)).map(({ id, digest }) => [id, digest]));
  expect([...byId.values()].sort()).toEqual(digests.toSorted());
  expect(await audited(cloud, pipeline)).toMatchObject({ index_records: digests.length, missing_in_index: 0, missing_in_store: 0 });
}

/** Whether each of these is stored and nothing else is: as `expectWhole`, and once each. */
export async function expectEachOnce(cloud: AzureCloud, pipeline: string, folder: string, digests: readonly string[]): Promise<void> {
  await expectWhole(cloud, pipeline, folder, digests);
  expect(await audited(cloud, pipeline)).toMatchObject({ records: digests.length, duplicates: 0 });
}

/** Unique ids of what is stored. */
export async function storedIds(cloud: AzureCloud, folder: string): Promise<Set<string>> {
  return new Set((await stored(cloud, folder)).map(({ id }) => id));
}

const TRIGGER_CHECKPOINTS = "azure-webjobs-eventhub";
const MANY = 1_000_000;

/** Unique ids of all events that the checkpoints of the Event Hubs trigger have passed: they never come again. */
export async function passedByTrigger({ azurite, serviceBus }: AzureCloud, hub: string, group: string): Promise<string[]> {
  const store = new BlobCheckpointStore(new ContainerClient(azurite.connectionString, TRIGGER_CHECKPOINTS));
  const checkpoints: Checkpoint[] = await store.listCheckpoints(serviceBus.host, hub, group);
  const passed = checkpoints.map(async ({ partitionId, offset }) => {
    const events = await serviceBus.messages(`${hub}/Partitions/${partitionId}`, MANY);
    return events.filter((event) => Number(event.offset) <= Number(offset)).map((event) => `${hub}_${partitionId}-${event.offset}`);
  });
  return (await Promise.all(passed)).flat();
}

const ANSWER_MS = 10_000;

/** Unique ids, with this broker id, of all records that a consumer group has committed: they never come again. */
export async function passedByGroup(
  kafkaHost: string,
  topic: string,
  group: string,
  brokerId: string,
  partitions: number,
): Promise<string[]> {
  const cluster = createConnecting(kafkaSettings.parse({ brokers: [kafkaHost] }))();
  try {
    const numbers = Array.from({ length: partitions }, (_, partition) => partition);
    const found = await committedOffsets(createCoordinator(cluster, group, ANSWER_MS), group, topic, numbers);
    return [...found].flatMap(([partition, { offset }]) => Array.from({ length: offset }, (_, i) => `${brokerId}_${partition}-${i}`));
  } finally {
    await cluster.close();
  }
}
