import type { StoredRecord } from "../avro/stored-record.ts";
import type { Clock } from "../clock.ts";
import { mapConcurrently } from "../concurrency.ts";
import { type DeadLetterCategory, deadLetter } from "../dead-letter/dead-letter.ts";
import { digestOf } from "../digest.ts";
import { BrokerError, errorText, isRetryable, PersistorError } from "../errors.ts";
import { handOver } from "../index/index-message.ts";
import { contentSize, type Message } from "../message.ts";
import type { Pipeline } from "../pipeline.ts";
import type { Log } from "../ports/log.ts";
import type { Meter } from "../ports/meter.ts";
import { retrying } from "../retry.ts";
import { type Batch, type Positioned, splitIntoBatches } from "./batches.ts";
import { writeBatch } from "./write-batch.ts";

/** What became of one message: only `stored` and `dead-lettered` may be acknowledged. */
export type Outcome = { kind: "stored" } | { kind: "dead-lettered"; category: DeadLetterCategory } | { kind: "released"; error: Error };

export interface PersistDeps {
  clock: Clock;
  meter: Meter;
  log: Log;
  /** Ends the retries of a failing store or broker early. */
  signal?: AbortSignal;
}

const BATCHES_AT_ONCE = 4;
const RETRY = { attempts: 4, firstDelayMs: 100, maxDelayMs: 2_000 } as const;
const STORED: Outcome = { kind: "stored" };

/**
 * Persists messages: each one is in the store, and its index record handed over durably, before its outcome says `stored`.
 * Never throws for a single message's sake; returns one outcome per message, by position.
 */
export async function persist(pipeline: Pipeline, messages: readonly Message[], deps: PersistDeps): Promise<Outcome[]> {
  const ingestionTimeUs = deps.clock.nowMs() * 1000;
  const outcomes = new Array<Outcome>(messages.length);
  const tooLarge: Positioned[] = [];
  const fit: Positioned[] = [];
  messages.forEach((message, position) => {
    const record = { message, digest: digestOf(message), ingestionTimeUs, pipeline: pipeline.name };
    (contentSize(message) > pipeline.batch.maxMessageBytes ? tooLarge : fit).push({ record, position });
  });
  const limit = pipeline.batch.maxMessageBytes;
  await giveUp(pipeline, tooLarge, "too_large", `the message is larger than the pipeline's limit of ${limit} bytes`, outcomes, deps);
  const batches = splitIntoBatches(fit, pipeline.store.mask, pipeline.batch);
  await mapConcurrently(batches, BATCHES_AT_ONCE, (batch) => persistBatch(pipeline, batch, outcomes, deps));
  return outcomes;
}

async function persistBatch(pipeline: Pipeline, batch: Batch, outcomes: Outcome[], deps: PersistDeps): Promise<void> {
  try {
    await retrying(deps.clock, { ...RETRY, signal: deps.signal }, () => storeAndHandOver(pipeline, batch, deps));
    for (const position of batch.positions) outcomes[position] = STORED;
  } catch (error) {
    if (isRefusedForEver(error)) await isolateRefused(pipeline, batch, error, outcomes, deps);
    else release(pipeline, batch, error as Error, outcomes, deps);
  }
}

async function storeAndHandOver(pipeline: Pipeline, batch: Batch, deps: PersistDeps): Promise<void> {
  const { index, store } = pipeline;
  const written = await writeBatch(store, batch, index !== undefined);
  if (index) await handOver(index, written.records).catch(heldBack);
  const labels = { pipeline: pipeline.name };
  const lagMs = Math.max(0, deps.clock.nowMs() - (batch.records[0] as StoredRecord).message.publishTimeUs / 1000);
  deps.meter.record("persistor.batch.messages", batch.records.length, labels);
  deps.meter.record("persistor.batch.fill", batch.records.length / pipeline.batch.maxMessages, labels);
  deps.meter.add("persistor.messages.persisted", batch.records.length, labels);
  if (written.bytes > 0) deps.meter.record("persistor.object.bytes", written.bytes, labels);
  deps.meter.record("persistor.archive.lag", lagMs / 1000, labels);
}

/** What the index topic does not take says nothing of the messages, which are stored: they wait until somebody mends the topic. */
function heldBack(error: unknown): never {
  if (!(error instanceof PersistorError) || error.code !== "refused") throw error;
  throw new BrokerError("broker_unavailable", error.message, { retryable: true, cause: error });
}

/** A closed list: everything else may work later, and is never given up. */
function isRefusedForEver(error: unknown): boolean {
  return (
    error instanceof PersistorError &&
    !isRetryable(error) &&
    (error.code === "key_invalid" || error.code === "too_large" || error.code === "refused")
  );
}

/** Halves a refused batch until the refused messages stand alone: the good ones among them are stored. */
async function isolateRefused(pipeline: Pipeline, batch: Batch, error: unknown, outcomes: Outcome[], deps: PersistDeps): Promise<void> {
  const positioned = batch.records.map((record, i) => ({ record, position: batch.positions[i] as number }));
  if (positioned.length === 1) {
    const category: DeadLetterCategory = error instanceof PersistorError && error.code === "too_large" ? "too_large" : "refused";
    return giveUp(pipeline, positioned, category, errorText(error), outcomes, deps);
  }
  const middle = Math.ceil(positioned.length / 2);
  for (const half of [positioned.slice(0, middle), positioned.slice(middle)]) {
    for (const part of splitIntoBatches(half, pipeline.store.mask, pipeline.batch)) await persistBatch(pipeline, part, outcomes, deps);
  }
}

function release(pipeline: Pipeline, batch: Batch, error: Error, outcomes: Outcome[], deps: PersistDeps): void {
  deps.log.warn("releasing a batch", {
    pipeline: pipeline.name,
    path: batch.path,
    messages: batch.records.length,
    error: errorText(error),
  });
  for (const position of batch.positions) outcomes[position] = { kind: "released", error };
}

/** Dead-letters what can never be handled; what cannot be dead-lettered is released. */
async function giveUp(
  pipeline: Pipeline,
  positioned: readonly Positioned[],
  category: DeadLetterCategory,
  reason: string,
  outcomes: Outcome[],
  deps: PersistDeps,
): Promise<void> {
  if (positioned.length === 0) return;
  const failures = await deadLetter(
    pipeline,
    positioned.map(({ record }) => ({ record, category, reason })),
  );
  positioned.forEach(({ position }, i) => {
    const error = failures[i];
    outcomes[position] = error ? { kind: "released", error } : { kind: "dead-lettered", category };
  });
  const given = failures.filter((error) => !error).length;
  deps.meter.add("persistor.dead_letters", given, { pipeline: pipeline.name, category });
  const firstFailure = failures.find((error) => error !== undefined);
  deps.log.warn("giving up messages", {
    pipeline: pipeline.name,
    category,
    reason,
    deadLettered: given,
    released: failures.length - given,
    error: firstFailure && errorText(firstFailure),
  });
}
