import { InvalidInput } from "../../core/errors.ts";
import { contentSize } from "../../core/message.ts";
import type { OutgoingMessage, Publisher } from "../../core/ports/publisher.ts";
import { parseJson } from "../http/json.ts";
import { HttpError, problemOf } from "../http/problem.ts";
import { linesOf } from "./event-lines.ts";
import { eventMessage } from "./wire-message.ts";

const BATCH_MESSAGES = 2000;
const BATCH_BYTES = 4 * 1024 * 1024;
const BATCHES_IN_FLIGHT = 4;

/** Messages with the number of the line that each came from. */
interface Batch {
  messages: OutgoingMessage[];
  lines: number[];
  bytes: number;
}

/**
 * Publishes each line of NDJSON in order and returns how many there were, once all are durable. At the first line that cannot be taken it
 * stops: the lines before it are published, and the error's problem document names the line and says in `accepted` how many that are.
 */
export async function publishLines(chunks: AsyncIterable<Uint8Array>, topic: string, publisher: Publisher): Promise<number> {
  const sender = senderTo(topic, publisher);
  let batch = emptyBatch();
  let failure: unknown;
  try {
    for await (const { first, lines } of linesOf(chunks)) {
      for (let i = 0; i < lines.length; i++) {
        const line = lines[i] as string;
        if (isBlank(line)) continue;
        addTo(batch, eventOf(line, first + i), first + i);
        if (batch.messages.length < BATCH_MESSAGES && batch.bytes < BATCH_BYTES) continue;
        await sender.send(batch);
        batch = emptyBatch();
      }
    }
  } catch (error) {
    failure = error;
  }
  await sender.send(batch).catch(() => undefined);
  const sent = await sender.ended();
  // What happened to an earlier line is told before what is wrong with a later one.
  const error = sent.error ?? failure;
  if (error === undefined) return sent.accepted;
  throw withAccepted(error, sent.accepted);
}

function emptyBatch(): Batch {
  return { messages: [], lines: [], bytes: 0 };
}

function addTo(batch: Batch, message: OutgoingMessage, line: number): void {
  batch.messages.push(message);
  batch.lines.push(line);
  batch.bytes += contentSize(message);
}

function isBlank(line: string): boolean {
  return line === "" || line.trim() === "";
}

function eventOf(line: string, number: number): OutgoingMessage {
  const place = `line ${number}`;
  try {
    return eventMessage(parseJson(line, place), place);
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    throw new InvalidInput(
      error.message,
      error.faults.map(({ path, message }) => ({ path: path || place, message })),
      { cause: error.cause },
    );
  }
}

interface Sender {
  /** Publishes behind what was sent before; waits while enough is under way. Throws once anything failed. */
  send(batch: Batch): Promise<void>;
  /** Resolves when nothing is under way: how many messages from the first on are durable without a gap, and what went wrong. */
  ended(): Promise<{ accepted: number; error: unknown }>;
}

function senderTo(topic: string, publisher: Publisher): Sender {
  const inFlight: Promise<void>[] = [];
  let accepted = 0;
  let error: unknown;
  const settle = async (batch: Batch, published: ReturnType<Publisher["publish"]>, before: Promise<void> | undefined) => {
    const outcome = await published.then(
      (outcomes) => durableOf(batch, outcomes),
      (cause: unknown) => ({ durable: 0, error: cause }),
    );
    await before;
    if (error !== undefined) return;
    accepted += outcome.durable;
    error = outcome.error;
  };
  return {
    async send(batch) {
      if (inFlight.length >= BATCHES_IN_FLIGHT) await inFlight.shift();
      if (error !== undefined) throw error;
      if (batch.messages.length === 0) return;
      // Calls are made in order, and a publisher keeps the order of its calls.
      inFlight.push(settle(batch, publisher.publish(topic, batch.messages), inFlight.at(-1)));
    },
    async ended() {
      await Promise.all(inFlight);
      return { accepted, error };
    },
  };
}

function durableOf({ lines }: Batch, outcomes: Awaited<ReturnType<Publisher["publish"]>>): { durable: number; error: unknown } {
  const failed = outcomes.findIndex(({ ok }) => !ok);
  if (failed < 0) return { durable: outcomes.length, error: undefined };
  const outcome = outcomes[failed];
  return { durable: failed, error: outcome?.ok === false ? lineError(outcome.error, lines[failed] as number) : undefined };
}

function lineError(error: Error, line: number): HttpError {
  const { status, headers, problem } = problemOf(error, "");
  const errors = [{ path: `line ${line}`, message: problem.detail }];
  return new HttpError(status, `publishing line ${line}: ${problem.detail}`, { headers, members: { errors }, cause: error });
}

/** The same error with `accepted` in its problem document. */
function withAccepted(error: unknown, accepted: number): unknown {
  const { status, headers, problem } = problemOf(error, "");
  if (status >= 500 && status !== 503) return error;
  const { type: _type, title: _title, status: _status, detail, instance: _instance, ...members } = problem;
  return new HttpError(status, detail, { headers, members: { ...members, accepted }, cause: error });
}
