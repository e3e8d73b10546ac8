import { existsSync } from "node:fs";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Filter } from "../../../core/filter/ast.ts";
import { positionOf } from "../../../core/filter/order.ts";
import type { IndexPosition } from "../../../core/ports/metadata-index.ts";
import type { Composition } from "../../compose.ts";
import type { SampleTopic } from "./sample.ts";

const MESSAGES_PER_CALL = 1_000;
const POLL_MS = 50;
const PAGE = 10_000;

/** Kept in the data folder from before anything else is there until all of the sample is indexed, so that a feed that was cut off goes on. */
function marker(dataDir: string): string {
  return join(dataDir, "sample-feed.unfinished");
}

/**
 * Notes that a new data folder is to be fed; to be called before it is opened, so that a start cut off at any point is made up for.
 * True where the feed is to run: now, or still.
 */
export async function claimFeed(dataDir: string): Promise<boolean> {
  await mkdir(dataDir, { recursive: true });
  if ((await readdir(dataDir)).length === 0) await writeFile(marker(dataDir), "");
  return existsSync(marker(dataDir));
}

/** The data folder is not to be fed any more. */
export async function endFeed(dataDir: string): Promise<void> {
  await rm(marker(dataDir), { force: true });
}

export interface FeedProgress {
  total: number;
  /** Called with how many of the records are persisted and indexed. */
  onProgress(indexed: number): void;
}

/** Publishes what of the sample is not there yet and waits until all of it is indexed. */
export async function feedSample(
  topics: readonly SampleTopic[],
  composition: Composition,
  progress: FeedProgress,
  signal: AbortSignal,
): Promise<void> {
  // What a killed feed had published is still on its way: only behind it the index tells what is missing.
  await untilDrained(composition, signal);
  const { publisher } = await composition.embedded();
  const publishAll = async () => {
    for (const { topic, recordId, messages } of topics) {
      const known = await indexedIds(composition, topic, recordId);
      const missing = messages.filter(({ id }) => !known.has(id)).map(({ message }) => message);
      for (let from = 0; from < missing.length && !signal.aborted; from += MESSAGES_PER_CALL) {
        const outcomes = await publisher.publish(topic, missing.slice(from, from + MESSAGES_PER_CALL));
        for (const outcome of outcomes) if (!outcome.ok) throw outcome.error;
      }
    }
  };
  await Promise.all([publishAll(), untilIndexed(topics, composition, progress, signal)]);
  if (!signal.aborted) await endFeed(composition.settings.dataDir);
}

async function untilIndexed(
  topics: readonly SampleTopic[],
  { index, clock }: Composition,
  { total, onProgress }: FeedProgress,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const counts = await Promise.all(topics.map(async ({ topic }) => (await index.summarize(topic, { op: "all", of: [] }))[0]?.count ?? 0));
    const indexed = counts.reduce((sum, count) => sum + count, 0);
    onProgress(Math.min(indexed, total));
    if (indexed >= total || signal.aborted) return;
    await clock.sleep(POLL_MS, signal);
  }
}

async function untilDrained(composition: Composition, signal: AbortSignal): Promise<void> {
  const broker = await composition.embedded();
  while (!signal.aborted) {
    const backlogs = (await broker.topics()).flatMap(({ subscriptions }) => subscriptions.map(({ backlog }) => backlog));
    if (backlogs.every((backlog) => backlog === 0)) return;
    await composition.clock.sleep(POLL_MS, signal);
  }
}

async function indexedIds({ index }: Composition, collection: string, recordId: string): Promise<Set<string>> {
  const filter: Filter = { op: "$exists", field: { kind: "attribute", name: recordId }, exists: true };
  const ids = new Set<string>();
  let after: IndexPosition | undefined;
  for (;;) {
    const page = await index.find(collection, { filter, order: "publish", after, limit: PAGE });
    for (const { attributes } of page) {
      for (const [name, value] of attributes) if (name === recordId) ids.add(String(value));
    }
    const last = page.at(-1);
    if (!last || page.length < PAGE) return ids;
    after = positionOf(last, "publish");
  }
}
