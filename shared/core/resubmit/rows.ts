import { release } from "../avro/codec.ts";
import type { StoredRecord } from "../avro/stored-record.ts";
import { contentOf, overflowOf, redriven } from "../dead-letter/dead-letter.ts";
import { digestOf } from "../digest.ts";
import { errorText, isRetryable } from "../errors.ts";
import { type Message, type MessageContent, stringAttribute, uniqueIdOf } from "../message.ts";
import type { Pipeline } from "../pipeline.ts";
import type { FailureReason } from "../ports/work-items.ts";
import { microsToIso } from "../text.ts";
import type { WorkEntry } from "./entries.ts";
import { type Fetched, fetchEntries } from "./fetch.ts";
import type { ResubmitRequest } from "./request.ts";

/** Where a work item's messages may be read. */
export interface FetchDeps {
  /** The pipelines that write into a collection: the only places that its records may point to. */
  pipelinesOf(collection: string): readonly Pipeline[];
  /** The pipeline of that name. */
  pipelineOf(name: string): Pipeline | undefined;
}

/** One entry of the item while it is worked. */
export interface Row {
  entry: WorkEntry;
  state: "open" | "published" | "failed";
  fetched: boolean;
  deserialized: boolean;
  verified: boolean;
  reason?: FailureReason;
  detail?: string;
  content?: MessageContent;
  /** Where and when the message was published first. */
  origin?: Pick<Message, "partition" | "publishTimeUs">;
  /** The payload as it was read: a slice of its block's memory. */
  read?: Uint8Array;
}

/** Reads the rows' messages and takes each for what its index record says it is, or fails its row. Never throws for one row's sake. */
export async function fetchRows(rows: Row[], request: ResubmitRequest, deps: FetchDeps): Promise<void> {
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
    for (const [i, row] of group.entries()) {
      const record = accept(row, fetched[i] as Fetched, allowed);
      if (!record) continue;
      row.content = contentOf(record.message);
      row.origin = record.message;
      row.read = record.message.payload;
      // Only letters are awaited one by one: a promise for each message would cost more than reading it.
      const letters = lettersOf(record, allowed);
      if (letters) await redrive(row, letters, deps);
      if (request.annotate && row.content) row.content = annotated(row.content, record.message);
    }
  }
}

function mayRead(pipeline: Pipeline, store: string, key: string): boolean {
  const { name, prefix } = pipeline.store;
  return (store === name || store === "") && (prefix === "" || key.startsWith(`${prefix}/`));
}

/** Takes a fetched record for what its index record says it is and returns it, or fails the row. */
function accept(row: Row, fetched: Fetched, pipelines: readonly Pipeline[]): StoredRecord | undefined {
  if ("failure" in fetched) {
    const { failure } = fetched;
    row.fetched = failure.fetched;
    row.reason = failure.reason;
    row.detail = failure.detail;
    if (!failure.retryable) row.state = "failed";
    return undefined;
  }
  const { record } = fetched;
  row.fetched = true;
  row.deserialized = true;
  const mismatch = mismatchOf(row.entry, record, pipelines);
  if (mismatch === undefined) {
    row.verified = true;
    return record;
  }
  fail(row, "digest_mismatch", mismatch);
  return undefined;
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

function annotated(content: MessageContent, message: Message): MessageContent {
  const original = [
    stringAttribute("persistor-original-id", uniqueIdOf(message)),
    stringAttribute("persistor-original-topic", message.topic),
    stringAttribute("persistor-original-publish-time", microsToIso(message.publishTimeUs)),
  ];
  return { ...content, attributes: [...content.attributes, ...original] };
}

/** The dead-letter pipeline that stored the record, if one did. */
function lettersOf({ pipeline }: StoredRecord, pipelines: readonly Pipeline[]): Pipeline | undefined {
  return pipelines.find(({ name, isDeadLetters }) => isDeadLetters && (pipeline === "" || pipeline === name));
}

/** Makes the message again that was dead-lettered. */
async function redrive(row: Row, letters: Pipeline, deps: FetchDeps): Promise<void> {
  try {
    row.content = await redriven(row.content as MessageContent, (name) => overflowOf(deps.pipelineOf(name), letters));
  } catch (error) {
    row.content = undefined;
    row.reason = "storage_error";
    row.detail = errorText(error);
    if (!isRetryable(error)) row.state = "failed";
  }
}

/**
 * Gives the memory of all that was read back at once; nothing of it may be used afterwards. Left to the garbage collector, these blocks make
 * it run far more often than the rest of the work does.
 */
export function releaseRead(rows: readonly Row[]): void {
  const blocks = new Map<ArrayBufferLike, Uint8Array>();
  for (const { read } of rows) if (read) blocks.set(read.buffer, read);
  for (const block of blocks.values()) release(block);
}

export function fail(row: Row, reason: FailureReason, detail: string): void {
  row.state = "failed";
  row.reason = reason;
  row.detail = detail;
}
