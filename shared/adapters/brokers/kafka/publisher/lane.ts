import { setTimeout as sleep } from "node:timers/promises";
import { release } from "../../../../core/avro/codec.ts";
import { BrokerError } from "../../../../core/errors.ts";
import type { PublishOutcome } from "../../../../core/ports/publisher.ts";
import { backOffMs } from "../../../../core/retry.ts";
import type { Compression } from "../compressions.ts";
import { brokerErrorOf } from "../errors.ts";
import { type OutgoingRecord, type ProducerState, recordBound, writeBatch } from "../records/writing.ts";
import type { ProduceAnswer } from "../wire/produce.ts";
import { protocolErrorOf } from "../wire/protocol-errors.ts";

/** A record, and where its message stands in the call. */
export interface Placed {
  position: number;
  record: OutgoingRecord;
}

export interface LaneOptions {
  topic: string;
  partition: number;
  compression: Compression;
  /** A new producer, as which nothing has been sent; undefined where the broker is not to tell repeats. */
  newProducer(endMs: number): Promise<Pick<ProducerState, "id" | "epoch"> | undefined>;
  /** Hands a batch to the partition's leader, until `endMs` of `performance.now()`. Throws the client's errors. */
  produce(batch: Buffer, endMs: number): Promise<ProduceAnswer>;
  /** The leader may have moved. */
  onStale(): void;
}

/** The way into one partition: one batch after the other, so that a repeated one can be told from a new one. */
export interface Lane {
  /** Sends in order until `endMs` and fills in an outcome for each; behind one that is to be sent again nothing more is sent. */
  send(placed: readonly Placed[], outcomes: (PublishOutcome | undefined)[], endMs: number): Promise<void>;
}

/** Below the usual limit of a batch, which counts the compressed bytes. */
const BATCH_BYTES = 900_000;
const BATCH_RECORDS = 10_000;
const MOST_SEQUENCE = 2 ** 31 - 1 - BATCH_RECORDS;
const BACK_OFF = { firstDelayMs: 50, maxDelayMs: 1_000 } as const;
/** Nothing was written, as the broker lost track of the producer: it is sent again as a new one. */
const NEW_PRODUCER = new Set([
  "OUT_OF_ORDER_SEQUENCE_NUMBER",
  "UNKNOWN_PRODUCER_ID",
  "INVALID_PRODUCER_EPOCH",
  "PRODUCER_FENCED",
  "INVALID_PRODUCER_ID_MAPPING",
]);
const WRITTEN_BEFORE = "DUPLICATE_SEQUENCE_NUMBER";
/** One record fails its whole batch: the others go without it. */
const OF_ONE_RECORD = new Set(["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_RECORD", "INVALID_TIMESTAMP"]);

/** A batch was not written, for a reason that its answer names. */
class Refused extends Error {}

export function createLane(options: LaneOptions): Lane {
  const { topic, partition } = options;
  const doing = `publishing to ${topic}`;
  let state: ProducerState | undefined;
  let last: Promise<unknown> = Promise.resolve();

  /** Sends the same bytes until they are written or the time is over. Throws Refused, or why they may have been written or not. */
  const write = async (records: readonly OutgoingRecord[], endMs: number): Promise<number> => {
    let batch: Buffer | undefined;
    for (let attempt = 1; ; attempt++) {
      let failure: unknown;
      try {
        if (!batch) {
          if (state && state.sequence > MOST_SEQUENCE) state = undefined;
          if (!state) {
            const producer = await options.newProducer(endMs);
            state = producer && { ...producer, sequence: 0 };
          }
          batch = writeBatch(records, options.compression, state);
        }
        const { errorCode, errorMessage, baseOffset } = await options.produce(batch, endMs);
        const error = errorCode === 0 ? undefined : protocolErrorOf(errorCode, errorMessage);
        if (!error || error.apiId === WRITTEN_BEFORE) {
          if (state) state.sequence += records.length;
          // The client has sent a copy.
          release(batch);
          return baseOffset;
        }
        if (NEW_PRODUCER.has(error.apiId)) {
          state = undefined;
          batch = undefined;
        } else if (OF_ONE_RECORD.has(error.apiId) || !brokerErrorOf(error, doing).retryable) {
          throw new Refused(error.message, { cause: error });
        }
        failure = error;
      } catch (error) {
        if (error instanceof Refused || !brokerErrorOf(error, doing).retryable) {
          // An attempt before may be written still: the next batch must not be counted like it.
          if (attempt > 1) state = undefined;
          throw error;
        }
        failure = error;
      }
      const delayMs = backOffMs(attempt, BACK_OFF);
      if (performance.now() + delayMs >= endMs) {
        // What was sent last may be written still: were the next batch counted like it, it would be taken for its repeat.
        state = undefined;
        throw failure;
      }
      options.onStale();
      await sleep(delayMs);
    }
  };

  /** Whether what follows may be sent. */
  const sendBatch = async (placed: readonly Placed[], outcomes: (PublishOutcome | undefined)[], endMs: number): Promise<boolean> => {
    try {
      const baseOffset = await write(
        placed.map(({ record }) => record),
        endMs,
      );
      placed.forEach(({ position }, i) => {
        outcomes[position] = { ok: true, messageId: `${partition}-${baseOffset < 0 ? "unknown" : baseOffset + i}` };
      });
      return true;
    } catch (error) {
      const failure = brokerErrorOf(error instanceof Refused ? error.cause : error, doing);
      const isOfOne = error instanceof Refused && OF_ONE_RECORD.has((error.cause as { apiId: string }).apiId);
      if (isOfOne && placed.length > 1) {
        const middle = Math.ceil(placed.length / 2);
        const isGoing = await sendBatch(placed.slice(0, middle), outcomes, endMs);
        if (isGoing) return sendBatch(placed.slice(middle), outcomes, endMs);
        leave(placed.slice(middle), outcomes);
        return false;
      }
      for (const { position } of placed) outcomes[position] = { ok: false, error: failure };
      return isOfOne;
    }
  };

  const leave = (placed: readonly Placed[], outcomes: (PublishOutcome | undefined)[]) => {
    for (const { position } of placed) outcomes[position] = { ok: false, error: notSent(doing) };
  };

  const sendAll = async (placed: readonly Placed[], outcomes: (PublishOutcome | undefined)[], endMs: number): Promise<void> => {
    let isGoing = true;
    for (const batch of cut(placed)) {
      if (isGoing) isGoing = await sendBatch(batch, outcomes, endMs);
      else leave(batch, outcomes);
    }
  };
  return {
    send(placed, outcomes, endMs) {
      const sent = last.then(() => sendAll(placed, outcomes, endMs));
      last = sent.catch(() => undefined);
      return sent;
    },
  };
}

function* cut(placed: readonly Placed[]): Generator<Placed[]> {
  let batch: Placed[] = [];
  let bytes = 0;
  for (const each of placed) {
    const bound = recordBound(each.record);
    if (batch.length > 0 && (batch.length >= BATCH_RECORDS || bytes + bound > BATCH_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(each);
    bytes += bound;
  }
  if (batch.length > 0) yield batch;
}

function notSent(doing: string): BrokerError {
  const text = `${doing}: not sent, as a message before it was not; send it again behind that one`;
  return new BrokerError("broker_unavailable", text, { retryable: true });
}
