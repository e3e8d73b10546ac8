import { randomUUID } from "node:crypto";
import { messageAt } from "../../bench/lib/flights.ts";
import { open as openServiceBus } from "../../shared/adapters/brokers/service-bus/adapter.ts";
import { open as openStore } from "../../shared/adapters/stores/azure-blob/adapter.ts";
import { readObject } from "../../shared/core/avro/object-file.ts";
import { digestOf } from "../../shared/core/digest.ts";
import { type Message, type MessageContent, uniqueIdOf } from "../../shared/core/message.ts";
import { takeAndMore } from "../adapters/support-sources.ts";
import type { AzureCloud } from "../services/azure-cloud.ts";

const GIVE_UP_AFTER_MS = 240_000;
const PUBLISHED_AT_ONCE = 2_500;
/** How long is waited for messages that must not come. */
const QUIET_MS = 1_000;

/** A pipeline into `raw/` of the container, with index and dead letters at Service Bus. */
export function pipelineOf(
  source: Record<string, unknown>,
  collection: string,
  more: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    source,
    store: { kind: "azure-blob", container: "lake", prefix: "raw", path: "{topic}/{year}/{month}/{day}" },
    index: { broker: "service-bus", collection },
    deadLetter: { broker: "service-bus" },
    ...more,
  };
}

/** What message `i` of the flights carries. */
export function flight(i: number): MessageContent {
  const { payload, attributes, contentType, system, key, orderingKey, payloadKind } = messageAt(i);
  return { payload, attributes, contentType, system, key, orderingKey, payloadKind };
}

/** Publishes contents to a queue or topic of Service Bus, with more settings of the broker; returns the digest of each. */
export async function publishToServiceBus(
  { serviceBus }: AzureCloud,
  topic: string,
  contents: readonly MessageContent[],
  more: Readonly<Record<string, unknown>> = {},
): Promise<string[]> {
  const broker = await openServiceBus({ connectionString: serviceBus.connectionString, ...more }, { dataDir: "" });
  for (let from = 0; from < contents.length; from += PUBLISHED_AT_ONCE) {
    const messages = contents.slice(from, from + PUBLISHED_AT_ONCE).map((content) => ({ ...content, messageId: randomUUID() }));
    const outcomes = await broker.publisher.publish(topic, messages);
    for (const outcome of outcomes) if (!outcome.ok) throw outcome.error;
  }
  await broker.close();
  return contents.map((content) => digestOf(content).toString("hex"));
}

/** So many messages of a subscription, and what comes soon after them. */
export async function receivedFromServiceBus({ serviceBus }: AzureCloud, topic: string, count: number) {
  const broker = await openServiceBus({ connectionString: serviceBus.connectionString }, { dataDir: "" });
  const source = await broker.openSource({ id: topic, topic, subscription: "check" });
  const messages = await takeAndMore(source, count, QUIET_MS);
  await broker.close();
  return messages.map((message) => ({ digest: digestOf(message).toString("hex"), message }));
}

/** Every stored message under a folder: unique id, digest and object. */
export async function stored({ azurite, container }: AzureCloud, folder: string) {
  const store = await openStore({ container, connectionString: azurite.connectionString }, { dataDir: "" });
  const found: { id: string; digest: string; key: string; message: Message }[] = [];
  for await (const { key } of store.list(folder)) {
    for await (const block of readObject((await store.get(key)).bytes, { brokerId: "", pipeline: "", topic: "" })) {
      if ("fault" in block) throw block.fault.error;
      for (const { record } of block.records) {
        found.push({ id: uniqueIdOf(record.message), digest: digestOf(record.message).toString("hex"), key, message: record.message });
      }
    }
  }
  await store.close();
  return found;
}

/** Calls the HTTP APIs as their granted caller; `path` as `/api/indexer/…`. */
export async function call(cloud: AzureCloud, method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(cloud.host.url + path, {
    method,
    headers: {
      authorization: `Bearer ${cloud.apiKey}`,
      "x-functions-key": cloud.host.keys.host,
      "content-type": "application/json",
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every form
  return { status: response.status, headers: response.headers, body: (text === "" ? undefined : JSON.parse(text)) as any };
}

/** How many records a collection has. */
export async function countOf(cloud: AzureCloud, collection: string): Promise<number> {
  const { body } = await call(cloud, "POST", `/api/indexer/query/${collection}?limit=1&count=true`, { filters: [{}] });
  return body.total_count ?? 0;
}

/** Waits until a collection has so many records. */
export function indexed(cloud: AzureCloud, collection: string, count: number): Promise<void> {
  return until(`${count} records in ${collection}`, async () => (await countOf(cloud, collection)) >= count);
}

/** Waits for a job's end; returns it. */
export async function ended(cloud: AzureCloud, path: string) {
  // biome-ignore lint/suspicious/noExplicitAny: as above
  let job: any;
  await until(`the end of ${path}`, async () => {
    job = (await call(cloud, "GET", path)).body;
    return ["succeeded", "partial", "failed", "cancelled"].includes(job.state);
  });
  return job;
}

/** Resubmits and waits for the job's end, however long it takes. */
export async function resubmitted(cloud: AzureCloud, path: string, body: unknown) {
  const answer = await call(cloud, "POST", `/api/resubmitter/${path}`, body);
  if (answer.status !== 202) return { status: answer.status, summary: answer.body.summary, errors: answer.body.errors };
  const { summary, state } = await ended(cloud, answer.headers.get("location") as string);
  return { status: state === "succeeded" ? 200 : 206, summary, errors: undefined };
}

/** Compares a pipeline's objects with its index by the maintenance job. */
export async function audited(cloud: AzureCloud, pipeline: string) {
  const { headers } = await call(cloud, "POST", "/api/maintenance", { kind: "audit", pipeline });
  return (await ended(cloud, headers.get("location") as string)).progress;
}

/** Waits for something that is bound to happen; throws naming it where it does not. */
export async function until(what: string, isSo: () => Promise<boolean> | boolean): Promise<void> {
  const endMs = Date.now() + GIVE_UP_AFTER_MS;
  while (!(await Promise.resolve(isSo()).catch(() => false))) {
    if (Date.now() > endMs) throw new Error(`waiting for ${what}: it did not come`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
