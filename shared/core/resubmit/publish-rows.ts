import type { Clock } from "../clock.ts";
import { contentSize, type MessageContent } from "../message.ts";
import type { TopicTarget } from "../pipeline.ts";
import type { Job } from "../ports/job-store.ts";
import type { Meter } from "../ports/meter.ts";
import type { OutgoingMessage, PublishOutcome } from "../ports/publisher.ts";
import type { WorkItem, WorkItems } from "../ports/work-items.ts";
import type { ResubmitRequest } from "./request.ts";
import { fail, type Row } from "./rows.ts";

export interface PublishDeps {
  items: WorkItems;
  clock: Clock;
  meter: Meter;
  /** Ends the work early; what is left goes back to the queue. */
  signal: AbortSignal;
}

/** Short, so that the work of a killed process goes on soon; it is renewed while the worker publishes. */
export const ITEM_LEASE_MS = 10_000;
const RENEW_AFTER_MS = 3_000;
const CHUNK_MESSAGES = 2_500;
const CHUNK_BYTES = 4_000_000;
/** A paced job publishes about this often. */
const CHUNKS_PER_SECOND = 5;

/** Publishes the rows that were read, chunk by chunk, under the item's lease; a lost lease ends it. Throws BrokerError where nothing can be sent. */
export async function publishRows(
  rows: readonly Row[],
  job: Job,
  item: WorkItem,
  destination: TopicTarget,
  deps: PublishDeps,
): Promise<void> {
  const request = job.request as ResubmitRequest;
  adaptRows(rows, destination);
  const lease = leaseOf(item, deps);
  for (const chunk of chunksOf(readyRows(rows, request.ordered), chunkMessages(request), destination)) {
    if (deps.signal.aborted || !(await lease.kept())) return;
    const startedMs = deps.clock.nowMs();
    const messages = chunk.map((row) => outgoing(row, job, destination));
    const outcomes = await destination.publisher.publish(destination.topic, messages);
    for (const [i, row] of chunk.entries()) settleRow(row, outcomes[i]);
    deps.meter.add("persistor.job.published", chunk.filter(({ state }) => state === "published").length, { collection: job.collection });
    // In order: what follows a message that is to be sent again must wait for it.
    if (request.ordered && chunk.some(({ state }) => state === "open")) return;
    if (request.rate !== null && !(await lease.pause((chunk.length / request.rate) * 1000 - (deps.clock.nowMs() - startedMs)))) return;
  }
}

/** In order, nothing goes out behind a message that could not be read yet. */
function readyRows(rows: readonly Row[], ordered: boolean): Row[] {
  const firstUnread = ordered ? rows.findIndex(({ state, content }) => state === "open" && !content) : -1;
  const candidates = firstUnread < 0 ? rows : rows.slice(0, firstUnread);
  return candidates.filter(({ state, content }) => state === "open" && content);
}

function chunkMessages({ rate }: ResubmitRequest): number {
  return rate === null ? CHUNK_MESSAGES : Math.max(1, Math.min(CHUNK_MESSAGES, Math.ceil(rate / CHUNKS_PER_SECOND)));
}

/** The item's lease while it is worked: `kept` renews it where it is due, `pause` waits under it; both are false once it is lost. */
function leaseOf(item: WorkItem, { items, clock, signal }: PublishDeps) {
  let renewedAtMs = item.leaseUntilMs - ITEM_LEASE_MS;
  const kept = async (): Promise<boolean> => {
    const nowMs = clock.nowMs();
    if (nowMs - renewedAtMs < RENEW_AFTER_MS) return true;
    renewedAtMs = nowMs;
    return items.update(item, { ...item, state: "leased", leaseUntilMs: nowMs + ITEM_LEASE_MS });
  };
  const pause = async (ms: number): Promise<boolean> => {
    for (let leftMs = ms; leftMs > 0 && !signal.aborted; leftMs -= RENEW_AFTER_MS) {
      await clock.sleep(Math.min(leftMs, RENEW_AFTER_MS), signal);
      if (!(await kept())) return false;
    }
    return true;
  };
  return { kept, pause };
}

/** Puts each message into the destination's form, and fails those that have none. */
function adaptRows(rows: readonly Row[], { publisher }: TopicTarget): void {
  for (const row of rows) {
    if (row.state !== "open" || !row.content) continue;
    row.content = publisher.adapt(row.content);
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

function outgoing({ content, origin, entry }: Row, job: Job, { keep }: TopicTarget): OutgoingMessage {
  const { orderingKey } = content as MessageContent;
  return {
    ...(content as MessageContent),
    messageId: `${job.id}:${entry.id}`,
    toPartition: keep?.includes("partition") ? origin?.partition : undefined,
    withTimeUs: keep?.includes("timestamp") ? origin?.publishTimeUs : undefined,
    orderedBy: (job.request as ResubmitRequest).ordered ? orderingKey || origin?.partition : undefined,
  };
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
