import { expect } from "vitest";
import { INDEXER_SUBSCRIPTION } from "../../shared/runtime/index-topics.ts";
import { type AzureCloud, type AzureCloudOptions, startAzureCloud } from "../services/azure-cloud.ts";
import { ensureBundles } from "../services/bundles.ts";
import type { EntityOptions } from "../services/service-bus-server.ts";
import { audited, call, countOf, flight, indexed, pipelineOf, publishToServiceBus, stored, until } from "./support-azure.ts";

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Locks end soon, so that what was released comes again soon. */
export const ENTITY: EntityOptions = { lockMs: 5_000, maxDeliveryCount: 2_000 };
/** Batches that are not full are handed over soon. */
const QUICK = { AzureFunctionsJobHost__extensions__serviceBus__maxBatchWaitTime: "00:00:00.5" };

/** Starts a cloud in which faults are soon over. */
export async function startFaultCloud(options: AzureCloudOptions): Promise<AzureCloud> {
  await ensureBundles();
  return startAzureCloud({ entity: ENTITY, ...options, environment: { ...QUICK, ...options.environment } });
}

/** A pipeline of one name throughout: queue, pipeline and collection. */
export function queuePipeline(
  name: string,
  more: Record<string, unknown> = {},
  own: Record<string, unknown> = {},
): Record<string, unknown> {
  return pipelineOf({ broker: "service-bus", topic: name, entity: "queue", ...own }, name, { ...more });
}

/** Queue pipelines by their names. */
export function queuePipelines(names: readonly string[]): Record<string, Record<string, unknown>> {
  return Object.fromEntries(names.map((name) => [name, queuePipeline(name)]));
}

/** Publishes flights to a queue; returns the digest of each. */
export function publishFlights(cloud: AzureCloud, queue: string, from: number, count: number): Promise<string[]> {
  const contents = Array.from({ length: count }, (_, i) => flight(from + i));
  return publishToServiceBus(cloud, queue, contents);
}

/** Waits until nothing waits in a queue or subscription, and nobody holds anything of it. */
export function drained({ serviceBus }: AzureCloud, entity: string): Promise<void> {
  return until(`${entity} to be empty`, async () => {
    const { active, locked, scheduled, deferred } = await serviceBus.counts(entity);
    return active + locked + scheduled + deferred === 0;
  });
}

/** The indexer's subscription. */
export const indexerOf = (topic = "persistor-index") => `${topic}/Subscriptions/${INDEXER_SUBSCRIPTION}`;

/**
 * Of a queue pipeline: each published message is stored, unaltered, and in the index once, whose places hold what they should; nothing else is
 * there, and nothing was given up, neither by us nor by the broker.
 */
export async function expectWhole(cloud: AzureCloud, name: string, digests: readonly string[], indexTopic?: string): Promise<void> {
  await indexed(cloud, name, digests.length);
  for (const entity of [name, indexerOf(indexTopic)]) {
    await drained(cloud, entity);
    expect([entity, (await cloud.serviceBus.counts(entity)).deadLettered]).toEqual([entity, 0]);
  }
  expect(await countOf(cloud, name)).toBe(digests.length);
  const copies = Map.groupBy(await stored(cloud, `raw/${name}/`), ({ id }) => id);
  expect([...copies.values()].filter((each) => new Set(each.map(({ digest }) => digest)).size > 1)).toEqual([]);
  expect([...copies.values()].map(([first]) => first?.digest).sort()).toEqual(digests.toSorted());
  const audit = await audited(cloud, name);
  expect(audit).toMatchObject({ missing_in_index: 0, missing_in_store: 0, unreadable_objects: 0, index_records: digests.length });
  expect(audit.records - audit.duplicates).toBe(digests.length);
  expect(await lettersOf(cloud, name)).toEqual([]);
}

/** The dead letters of a pipeline, as the index has them. */
export async function lettersOf(
  cloud: AzureCloud,
  pipeline: string,
): Promise<{ unique_id: string; additional_metadata: Record<string, string> }[]> {
  const { body } = await call(cloud, "POST", "/api/indexer/query/dead-letter?limit=1000", {
    filters: [{ "additional_metadata.persistor-pipeline": pipeline }],
  });
  return body.messages;
}
