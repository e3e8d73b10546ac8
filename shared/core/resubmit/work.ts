import type { StoredRecord } from "../avro/stored-record.ts";
import type { Clock } from "../clock.ts";
import { contentOf, overflowOf, redriven } from "../dead-letter/dead-letter.ts";
import { digestOf } from "../digest.ts";
import { errorText, isRetryable } from "../errors.ts";
import { contentSize, type MessageContent, stringAttribute, uniqueIdOf } from "../message.ts";
import type { Pipeline, TopicTarget } from "../pipeline.ts";
import type { Job } from "../ports/job-store.ts";
import type { Log } from "../ports/log.ts";
import type { Meter } from "../ports/meter.ts";
import type { OutgoingMessage, PublishOutcome } from "../ports/publisher.ts";
import type { FailureReason, ItemUpdate, WorkCounts, WorkItem, WorkItems } from "../ports/work-items.ts";
import { backOffMs } from "../retry.ts";
import { microsToIso } from "../text.ts";
import { packEntries, unpackEntries, type WorkEntry } from "./entries.ts";
import { type Fetched, fetchEntries } from "./fetch.ts";
import type { ResubmitRequest } from "./request.ts";

export interface WorkDeps {
  items: WorkItems;
  clock: Clock;
  meter: Meter;
  log: Log;
  /** The pipelines that write into a collection: the only places that its records may point to. */
  pipelinesOf(collection: string): readonly Pipeline[];
  /** The pipeline of that name. */
  pipelineOf(name: string): Pipeline | undefined;
  destination(name: string): Promise<TopicTarget>;
  /** Ends the work early; what is left goes back to the queue. */
  signal: AbortSignal;
}

/** Short, so that the work of a killed process goes on soon; it is renewed while the worker publishes. */
export const ITEM_LEASE_MS = 10_000;
const RENEW_AFTER_MS = 3_000;
const MAX_ATTEMPTS = 8;
const BACK_OFF = { firstDelayMs: 250, maxDelayMs: 15_000 } as const;
const CHUNK_MESSAGES = 2_500;
const CHUNK_BYTES = 4_000_000;
/** A paced job publishes about this often. */
const CHUNKS_PER_SECOND = 5;

/** One entry of the item while it is worked. */
interface Row {
  entry: WorkEntry;
  state: "open" | "published" | "failed";
  fetched: boolean;
  deserialized: boolean;
  verified: boolean;
  reason?: FailureReason;
  detail?: string;
  content?: MessageContent;
}

/**
 * Works one leased item: reads its messages, checks each against its index record, publishes them, and writes down what became of each.
 * What may work later goes back to the queue with a growing delay; what cannot is named as failed. Throws IndexError where that cannot be written.
 */
export async function workItem(job: Job, item: WorkItem, deps: WorkDeps): Promise<void> {
  const request = job.request as ResubmitRequest;
  const rows = unpackEntries(item.entries).map(
    (entry): Row => ({ entry, state: "open", fetched: false, deserialized: false, verified: false }),
  );
  await fetchRows(rows, request, deps);
  let lastError: unknown;
  try {
    const destination = await deps.destination(request.topic);
    refuseUncarried(rows, destination);
    await publishRows(rows, job, item, request, destination, deps);
  } catch (error) {
    lastError = error;
    failOpen(rows, error);
  }
  await writeDown(rows, item, deps, lastError);
}

async function fetchRows(rows: Row[], request: ResubmitRequest, deps: WorkDeps): Promise<void> {
  const pipelines = deps.pipelinesOf(request.collection);
  const byObject = Map.groupBy(rows, ({ entry }) => `${entry.store}\n${entry.key}`);
  for (const group of byObject.values()) {
    const { store, key } = (group[0] as Row).entry;
    const allowed = pipelines.filter((pipeline) => mayRead(pipeline, store, key));
    const pipeline = allowed[0];
    if (!pipeline) {
      for (const row of group) fail(row, "storage_error", `object ${key} lies outside the pipelines of collection ${request.collection}`);
      continue;
    }
    const entries = group.map(({ entry }) => entry);
    const fetched = await fetchEntries(pipeline.store.objects, entries, pipeline.brokerId);
    for (const [i, row] of group.entries()) await accept(row, fetched[i] as Fetched, allowed, request, deps);
  }
}

function mayRead(pipeline: Pipeline, store: string, key: string): boolean {
  const { name, prefix } = pipeline.store;
  return (store === name || store === "") && (prefix === "" || key.startsWith(`${prefix}/`));
}

/** Takes a fetched record for what its index record says it is, or fails the row. */
async function accept(row: Row, fetched: Fetched, pipelines: readonly Pipeline[], request: ResubmitRequest, deps: WorkDeps): Promise<void> {
  if ("failure" in fetched) {
    const { failure } = fetched;
    row.fetched = failure.fetched;
    row.reason = failure.reason;
    row.detail = failure.detail;
    if (!failure.retryable) row.state = "failed";
    return;
  }
  const { record } = fetched;
  row.fetched = true;
  row.deserialized = true;
  const mismatch = mismatchOf(row.entry, record, pipelines);
  if (mismatch !== undefined) return fail(row, "digest_mismatch", mismatch);
  row.verified = true;
  try {
    row.content = await outgoingContent(record, request, pipelines, deps);
  } catch (error) {
    row.reason = "storage_error";
    row.detail = errorText(error);
    if (!isRetryable(error)) row.state = "failed";
  }
}

/** Why the stored record is not the message that the index record describes; undefined where it is. */
function mismatchOf(entry: WorkEntry, record: StoredRecord, pipelines: readonly Pipeline[]): string | undefined {
  const id = uniqueIdOf(record.message);
  const digest = digestOf(record.message);
  const hex = digest.toString("hex");
  if (entry.id !== id && entry.id !== `${id}#${hex.slice(0, 16)}`) return `the stored message is ${id}`;
  if (!digest.equals(record.digest)) return "the stored bytes do not have the digest that was taken when they were persisted";
  if (entry.digest !== "" && entry.digest !== hex) return "the stored message has another digest than its index record";
  if (record.pipeline !== "" && !pipelines.some(({ name }) => name === record.pipeline))
    return `the stored message belongs to pipeline ${record.pipeline}`;
  return undefined;
}

async function outgoingContent(
  record: StoredRecord,
  request: ResubmitRequest,
  pipelines: readonly Pipeline[],
  deps: WorkDeps,
): Promise<MessageContent> {
  const { message } = record;
  let content = contentOf(message);
  const letters = pipelines.find(({ name, isDeadLetters }) => isDeadLetters && (record.pipeline === "" || record.pipeline === name));
  if (letters) content = await redriven(content, (name) => overflowOf(deps.pipelineOf(name), letters));
  if (!request.annotate) return content;
  const original = [
    stringAttribute("persistor-original-id", uniqueIdOf(message)),
    stringAttribute("persistor-original-topic", message.topic),
    stringAttribute("persistor-original-publish-time", microsToIso(message.publishTimeUs)),
  ];
  return { ...content, attributes: [...content.attributes, ...original] };
}

function refuseUncarried(rows: readonly Row[], { publisher }: TopicTarget): void {
  for (const row of rows) {
    if (row.state !== "open" || !row.content) continue;
    const reason = publisher.cannotCarry(row.content);
    if (reason !== undefined) fail(row, "unsupported_by_destination", reason);
    else if (contentSize(row.content) > publisher.limits.maxMessageBytes) {
      fail(
        row,
        "unsupported_by_destination",
        `the message is larger than the destination's limit of ${publisher.limits.maxMessageBytes} bytes`,
      );
    }
  }
}

async function publishRows(
  rows: readonly Row[],
  job: Job,
  item: WorkItem,
  request: ResubmitRequest,
  destination: TopicTarget,
  deps: WorkDeps,
): Promise<void> {
  const ready = rows.filter((row) => row.state === "open" && row.content);
  const chunkMessages =
    request.rate === null ? CHUNK_MESSAGES : Math.max(1, Math.min(CHUNK_MESSAGES, Math.ceil(request.rate / CHUNKS_PER_SECOND)));
  let renewedAtMs = deps.clock.nowMs();
  for (const chunk of chunksOf(ready, chunkMessages, destination)) {
    if (deps.signal.aborted) return;
    const startedMs = deps.clock.nowMs();
    if (startedMs - renewedAtMs > RENEW_AFTER_MS) {
      renewedAtMs = startedMs;
      const kept = await deps.items.update(item, { ...item, state: "leased", leaseUntilMs: startedMs + ITEM_LEASE_MS });
      if (!kept) return;
    }
    const outcomes = await destination.publisher.publish(
      destination.topic,
      chunk.map((row) => outgoing(row, job)),
    );
    for (const [i, row] of chunk.entries()) settleRow(row, outcomes[i]);
    deps.meter.add("persistor.job.published", chunk.length, { collection: job.collection });
    // In order: what follows a message that is to be sent again must wait for it.
    if (request.ordered && chunk.some(({ state }) => state === "open")) return;
    if (request.rate !== null) {
      const dueMs = (chunk.length / request.rate) * 1000;
      await deps.clock.sleep(Math.max(0, dueMs - (deps.clock.nowMs() - startedMs)), deps.signal);
    }
  }
}

function* chunksOf(rows: readonly Row[], maxMessages: number, { publisher }: TopicTarget): Generator<Row[]> {
  const messages = Math.min(maxMessages, publisher.limits.maxMessages);
  const maxBytes = Math.min(CHUNK_BYTES, publisher.limits.maxBytes);
  let chunk: Row[] = [];
  let bytes = 0;
  for (const row of rows) {
    const size = contentSize(row.content as MessageContent);
    if (chunk.length > 0 && (chunk.length >= messages || bytes + size > maxBytes)) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(row);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}

function outgoing(row: Row, job: Job): OutgoingMessage {
  return { ...(row.content as MessageContent), messageId: `${job.id}:${row.entry.id}` };
}

function settleRow(row: Row, outcome: PublishOutcome | undefined): void {
  if (outcome?.ok) {
    row.state = "published";
    row.content = undefined;
    return;
  }
  row.reason = "publish_error";
  row.detail = outcome ? outcome.error.message : "the destination gave no answer for this message";
  if (outcome && !outcome.error.retryable) row.state = "failed";
}

function fail(row: Row, reason: FailureReason, detail: string): void {
  row.state = "failed";
  row.reason = reason;
  row.detail = detail;
}

/** The destination could not be used at all: for good, or to be tried again. */
function failOpen(rows: readonly Row[], error: unknown): void {
  for (const row of rows) {
    if (row.state !== "open" || row.reason === "storage_error") continue;
    row.reason = "publish_error";
    row.detail = errorText(error);
    if (!isRetryable(error)) row.state = "failed";
  }
}

async function writeDown(rows: readonly Row[], item: WorkItem, deps: WorkDeps, lastError: unknown): Promise<void> {
  const aborted = deps.signal.aborted;
  if (!aborted && item.attempt >= MAX_ATTEMPTS) {
    for (const row of rows)
      if (row.state === "open") fail(row, row.reason ?? "publish_error", row.detail ?? "given up after repeated attempts");
  }
  const open = rows.filter(({ state }) => state === "open");
  const failed = rows.filter(({ state }) => state === "failed");
  const concluded = rows.filter(({ state }) => state !== "open");
  const nowMs = deps.clock.nowMs();
  const update: ItemUpdate = {
    state: open.length > 0 ? "planned" : failed.length > 0 || item.failures.length > 0 ? "failed" : "done",
    leaseUntilMs: 0,
    notBeforeMs: open.length === 0 || aborted ? 0 : nowMs + backOffMs(item.attempt, BACK_OFF),
    entries: packEntries(open.map(({ entry }) => entry)),
    counts: addCounts(item.counts, concluded),
    failures: [...item.failures, ...failed.map(failureOf)],
  };
  if (failed.length > 0) deps.meter.add("persistor.job.failed", failed.length, { reason: failed[0]?.reason ?? "publish_error" });
  if (open.length > 0 && !aborted) {
    deps.log.warn("a work item goes back to the queue", {
      job: item.jobId,
      item: item.number,
      left: open.length,
      reason: open[0]?.detail ?? errorText(lastError),
    });
  }
  await deps.items.update(item, update);
}

function failureOf({ entry, reason, detail }: Row): WorkItem["failures"][number] {
  return { id: entry.id, reason: reason ?? "publish_error", detail: detail ?? "", entry };
}

function addCounts(counts: WorkCounts, rows: readonly Row[]): WorkCounts {
  const count = (has: (row: Row) => boolean) => rows.reduce((sum, row) => sum + (has(row) ? 1 : 0), 0);
  return {
    indexed: counts.indexed,
    fetched: counts.fetched + count((row) => row.fetched),
    deserialized: counts.deserialized + count((row) => row.deserialized),
    published: counts.published + count((row) => row.state === "published"),
    verified: counts.verified + count((row) => row.verified && row.state === "published"),
  };
}
