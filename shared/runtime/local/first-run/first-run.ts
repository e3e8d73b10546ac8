import { join } from "node:path";
import type { Composition } from "../../compose.ts";
import type { Console } from "../console.ts";
import { endFeed, feedSample } from "./feed.ts";
import { bytesText, folderTree } from "./folder-tree.ts";
import { loadSample, type SampleTopic } from "./sample.ts";

const EXAMPLE_FILTER = { filters: [{ "additional_metadata.magnitude": { $gte: 4.5, $lt: 6 } }] };
const EXAMPLE_DESTINATION = "earthquakes-replay";

/** Feeds the sample data and shows what became of it, each step with the line that repeats it. */
export async function firstRun(composition: Composition, url: string, console: Console, signal: AbortSignal): Promise<void> {
  const sample = await loadSample();
  if (!sample) {
    console.say("No sample data: the package vega-datasets is not installed (it is a devDependency). Serving without it.");
    await endFeed(composition.settings.dataDir);
    return;
  }
  const startedMs = composition.clock.nowMs();
  const total = sample.reduce((sum, { messages }) => sum + messages.length, 0);
  console.say(
    `First run: feeding ${sample.map(({ messages, topic }) => `${number(messages.length)} ${topic}`).join(" and ")}, one message each.`,
  );
  const progress = console.progress("stored and indexed", total);
  try {
    await feedSample(sample, composition, { total, onProgress: progress.update }, signal);
  } finally {
    progress.stop();
  }
  if (signal.aborted) return;
  await showStored(composition, sample, console);
  await showQuery(url, console);
  await showResubmission(url, console);
  console.say();
  console.say(`All of that took ${((composition.clock.nowMs() - startedMs) / 1000).toFixed(1)} s.`);
}

async function showStored({ settings, index }: Composition, sample: readonly SampleTopic[], console: Console): Promise<void> {
  const root = join(settings.dataDir, "objects");
  const { objects, bytes, lines } = await folderTree(root);
  const summaries = await Promise.all(sample.map(async ({ topic }) => (await index.summarize(topic, { op: "all", of: [] }))[0]));
  const records = summaries.reduce((sum, summary) => sum + (summary?.count ?? 0), 0);
  const payload = summaries.reduce((sum, summary) => sum + (summary?.bytes ?? 0), 0);
  console.say();
  console.say(
    `Persisted ${number(records)} messages (${bytesText(payload)} of payload) in ${objects} objects, ${bytesText(bytes)} on disk:`,
  );
  for (const line of lines) console.say(`  ${line}`);
  console.say(
    `Indexed ${number(records)} records: ${sample.map(({ topic }, i) => `${number(summaries[i]?.count ?? 0)} in ${topic}`).join(", ")}.`,
  );
}

interface Page {
  messages: { unique_id: string; additional_metadata: Record<string, string> }[];
  total_count: number;
}

async function showQuery(url: string, console: Console): Promise<void> {
  const path = "/indexer/query/earthquakes?count=true&limit=3";
  const page = (await post(url + path, EXAMPLE_FILTER)) as Page;
  console.say();
  console.say(
    `Query: earthquakes with a magnitude from 4.5 up to 6 — ${number(page.total_count)} found, the first ${page.messages.length}:`,
  );
  for (const { unique_id, additional_metadata: metadata } of page.messages) {
    console.say(`  ${unique_id}  magnitude ${metadata.magnitude}  ${metadata.place}`);
  }
  console.say(curl(url + path, EXAMPLE_FILTER));
}

interface Answer {
  summary: { indexed_count: number; published_count: number; verified_count: number };
}

async function showResubmission(url: string, console: Console): Promise<void> {
  const path = `/resubmitter/query/earthquakes?topic=${EXAMPLE_DESTINATION}`;
  const { summary } = (await post(url + path, EXAMPLE_FILTER)) as Answer;
  console.say();
  console.say(
    `Resubmission of those to topic ${EXAMPLE_DESTINATION}: ${summary.published_count} of ${summary.indexed_count} sent, ${summary.verified_count} of ${summary.indexed_count} verified identical.`,
  );
  console.say(curl(url + path, EXAMPLE_FILTER));
}

async function post(url: string, body: unknown): Promise<unknown> {
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const answer: unknown = await response.json();
  if (!response.ok) throw new Error(`calling ${url}: ${response.status} ${JSON.stringify(answer)}`);
  return answer;
}

function curl(url: string, body: unknown): string {
  return `  curl -s '${url}' -H 'content-type: application/json' -d '${JSON.stringify(body)}'`;
}

function number(value: number): string {
  return value.toLocaleString("en-US");
}
