import { v1 } from "@google-cloud/pubsub";
import { messageAt } from "../../bench/lib/flights.ts";
import { open as openBroker } from "../../shared/adapters/brokers/pubsub/adapter.ts";
import { open as openStore } from "../../shared/adapters/stores/gcs/adapter.ts";
import { readObject } from "../../shared/core/avro/object-file.ts";
import { digestOf } from "../../shared/core/digest.ts";
import { type MessageContent, uniqueIdOf } from "../../shared/core/message.ts";
import type { ObjectStore } from "../../shared/core/ports/object-store.ts";
import { takeAndMore } from "../adapters/support-sources.ts";
import type { GcpCloud } from "../services/gcp-cloud.ts";

const PUBLISHED_AT_ONCE = 1_000;
const CALLS_IN_FLIGHT = 4;
const GIVE_UP_AFTER_MS = 240_000;
/** How long is waited for messages that must not come. */
const QUIET_MS = 1_000;

/** A pipeline of Pub/Sub into `raw/` of the bucket, with index and dead letters. */
export function pipelineOf(topic: string, path: string): Record<string, unknown> {
  return {
    source: { broker: "pubsub", topic },
    store: { kind: "gcs", bucket: "lake", prefix: "raw", path },
    index: { collection: topic },
    deadLetter: {},
  };
}

/** What message `i` of the flights carries over Pub/Sub. */
export function flight(i: number): MessageContent {
  return { ...messageAt(i), contentType: "" };
}

/** Publishes flights by the SDK alone, as any producer does. Returns the digest of each. */
export async function publishFlights(
  { pubsub, projectId }: GcpCloud,
  topic: string,
  first: number,
  count: number,
  orderingKeyOf: (i: number) => string = () => "",
): Promise<string[]> {
  const client = new v1.PublisherClient((await pubsub.getClientConfig()) as ConstructorParameters<typeof v1.PublisherClient>[0]);
  const name = `projects/${projectId}/topics/${topic}`;
  const digests: string[] = [];
  const calls: { orderingKey: string; messages: unknown[] }[] = [];
  const open = new Map<string, unknown[]>();
  for (let i = first; i < first + count; i++) {
    const orderingKey = orderingKeyOf(i);
    const content = { ...flight(i), orderingKey };
    digests.push(digestOf(content).toString("hex"));
    let messages = open.get(orderingKey);
    if (!messages || messages.length >= PUBLISHED_AT_ONCE) {
      messages = [];
      open.set(orderingKey, messages);
      calls.push({ orderingKey, messages });
    }
    const attributes = Object.fromEntries(content.attributes.map((attribute) => [attribute.name, attribute.value as string]));
    messages.push({ data: content.payload, attributes, orderingKey });
  }
  let next = 0;
  const lane = async () => {
    for (let call = calls[next++]; call; call = calls[next++]) await client.publish({ topic: name, messages: call.messages as never[] });
  };
  // Calls of one ordering key must follow one another.
  await Promise.all(Array.from({ length: open.size > 1 ? 1 : CALLS_IN_FLIGHT }, lane));
  await client.close();
  return digests;
}

/** So many messages of a subscription, and what comes soon after them: the digest and ordering key of each, in the order of delivery. */
export async function received({ emulator, projectId }: GcpCloud, topic: string, count: number) {
  const broker = await openBroker({ projectId, emulatorHost: emulator.host }, { dataDir: "" });
  const source = await broker.openSource({ id: topic, topic, subscription: `${topic}-check` });
  const messages = await takeAndMore(source, count, QUIET_MS);
  await source.close();
  await broker.close();
  return messages.map((message) => ({ digest: digestOf(message).toString("hex"), orderingKey: message.orderingKey }));
}

/** Every stored message under a folder: unique id, digest and object. */
export async function stored({ gcs, projectId, bucket }: GcpCloud, folder: string) {
  const store = await openStore({ bucket, projectId, emulatorUrl: gcs.url }, { dataDir: "" });
  const found: { id: string; digest: string; key: string }[] = [];
  for (const key of await keysOf(store, folder)) {
    for await (const block of readObject((await store.get(key)).bytes, { brokerId: "", pipeline: "", topic: "" })) {
      if ("fault" in block) throw block.fault.error;
      for (const { record } of block.records) {
        found.push({ id: uniqueIdOf(record.message), digest: digestOf(record.message).toString("hex"), key });
      }
    }
  }
  await store.close();
  return found;
}

async function keysOf(store: ObjectStore, folder: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(folder)) keys.push(key);
  return keys;
}

/** Calls an API function as its granted caller. */
export async function call(
  cloud: GcpCloud,
  target: "query" | "resubmit",
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
) {
  const response = await fetch(cloud.functions[target].url + path, {
    method,
    headers: { authorization: `Bearer ${cloud.apiKey}`, "content-type": "application/json", ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every form
  return { status: response.status, headers: response.headers, body: (await response.json()) as any };
}

/** How many records a collection has. */
export async function countOf(cloud: GcpCloud, collection: string): Promise<number> {
  const { body } = await call(cloud, "query", "POST", `/indexer/query/${collection}?limit=1&count=true`, { filters: [{}] });
  return body.total_count ?? 0;
}

/** Waits until a collection has so many records. */
export function indexed(cloud: GcpCloud, collection: string, count: number): Promise<void> {
  return until(`${count} records in ${collection}`, async () => (await countOf(cloud, collection)) >= count);
}

/** Waits for a job's end; returns it. */
export async function ended(cloud: GcpCloud, path: string) {
  // biome-ignore lint/suspicious/noExplicitAny: as above
  let job: any;
  await until(`the end of ${path}`, async () => {
    job = (await call(cloud, "resubmit", "GET", path)).body;
    return ["succeeded", "partial", "failed", "cancelled"].includes(job.state);
  });
  return job;
}

/** Resubmits and waits for the job's end, however long it takes. */
export async function resubmitted(cloud: GcpCloud, path: string, body: unknown, headers: Record<string, string> = {}) {
  const answer = await call(cloud, "resubmit", "POST", `/resubmitter/${path}`, body, headers);
  if (answer.status !== 202) return { status: answer.status, summary: answer.body.summary, errors: answer.body.errors };
  const { summary, state } = await ended(cloud, answer.headers.get("location") as string);
  return { status: state === "succeeded" ? 200 : 206, summary, errors: undefined };
}

/** Compares a pipeline's objects with its index by the maintenance job. */
export async function audited(cloud: GcpCloud, pipeline: string) {
  const { headers } = await call(cloud, "resubmit", "POST", "/admin/maintenance", { kind: "audit", pipeline });
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

/** So many drains get all that waits, however slow the machine is. */
export const MOST_DRAINS = 10;

/**
 * Drains until so many are stored in all: a drain that gets nothing for a while, as on a slow machine, takes the source for empty. Resolves with
 * what each answered.
 */
export async function drainsUntilStored(
  count: number,
  drain: () => Promise<Record<string, unknown>>,
  before: readonly Record<string, unknown>[] = [],
): Promise<Record<string, unknown>[]> {
  const answers = [...before];
  while (storedBy(answers) < count && answers.length < before.length + MOST_DRAINS) answers.push(await drain());
  return answers;
}

/** How many messages these drains stored. */
export function storedBy(answers: readonly Record<string, unknown>[]): number {
  return answers.reduce((sum, { stored: count }) => sum + Number(count), 0);
}
