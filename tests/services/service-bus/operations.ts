import rhea, { type Typed } from "rhea";
import { string } from "./amqp-bytes.ts";
import type { Destination } from "./destination.ts";
import { lockLost, messageNotFound } from "./errors.ts";
import { keyOfUuid, uuidOfTag } from "./lock-token.ts";
import { takeApart } from "./message.ts";
import { deadLetterFor, type Outcome } from "./outcome.ts";
import type { Queue } from "./queue.ts";
import { type AmqpError, encoded } from "./rhea-server.ts";
import type { Session } from "./sessions.ts";
import { encodeStored, type StoredMessage, scheduledAtMs } from "./stored-message.ts";

/** A request that cannot be carried out. */
export class RequestError extends Error {
  readonly error: AmqpError;
  constructor(error: AmqpError) {
    super(error.description);
    this.error = error;
  }
}

export type Body = Readonly<Record<string, unknown>>;
/** Undefined: there is nothing to answer with. */
type Operation<T> = (about: T, body: Body) => Body | undefined;

const LONG = 0x81;
const TIMESTAMP = 0x83;
const RECEIVE_AND_DELETE = 0;

/** What can be asked of what is sent to, by its name without `com.microsoft:`. */
export const DESTINATION_OPERATIONS: Readonly<Record<string, Operation<Destination>>> = {
  "schedule-message"(destination, { messages }) {
    const sequences = (messages as readonly { message: Buffer }[]).map(({ message }) => {
      const sent = takeApart(message);
      return destination.schedule(sent, scheduledAtMs(sent) ?? Date.now());
    });
    return { "sequence-numbers": array(sequences, LONG) };
  },
  "cancel-scheduled-message"(destination, body) {
    const results = numbersOf(body).map(destination.cancel);
    if (results.includes(false)) throw new RequestError(messageNotFound());
    return {};
  },
};

/** What can be asked of what is received from. */
export const QUEUE_OPERATIONS: Readonly<Record<string, Operation<Queue>>> = {
  "renew-lock"(queue, body) {
    const untilMs = tokensOf(body).map(queue.renew);
    if (untilMs.includes(undefined)) throw new RequestError(lockLost(false));
    return { expirations: array(untilMs, TIMESTAMP) };
  },
  "update-disposition"(queue, body) {
    const outcome = outcomeAsked(body);
    const results = tokensOf(body).map((key) => queue.settle(key, outcome));
    if (results.includes(false)) throw new RequestError(lockLost(queue.sessions !== undefined));
    return {};
  },
  "peek-message"(queue, body) {
    const from = Number(body["from-sequence-number"]);
    const messages = peek(queue, from, Number(body["message-count"]), body["session-id"] as string | undefined);
    return messages.length === 0 ? undefined : { messages: messages.map((message) => ({ message: encodeStored(message) })) };
  },
  "receive-by-sequence-number"(queue, body) {
    const messages = numbersOf(body).map((sequence) => queue.messages.get(sequence));
    if (messages.some((message) => message?.state !== "deferred")) throw new RequestError(messageNotFound());
    const isForGood = body["receiver-settle-mode"] === RECEIVE_AND_DELETE;
    return { messages: (messages as StoredMessage[]).map((message) => received(queue, message, isForGood)) };
  },
  "renew-session-lock"(queue, body) {
    const untilMs = queue.sessions?.renew(String(body["session-id"]));
    if (untilMs === undefined) throw new RequestError(lockLost(true));
    return { expiration: rhea.types.wrap_timestamp(untilMs) };
  },
  "get-session-state": (queue, body) => ({ "session-state": sessionAsked(queue, body).state ?? null }),
  "set-session-state"(queue, body) {
    sessionAsked(queue, body).state = (body["session-state"] as Buffer | null) ?? undefined;
    return {};
  },
};

function peek({ messages, sequences }: Queue, from: number, count: number, sessionId: string | undefined): StoredMessage[] {
  const peeked: StoredMessage[] = [];
  for (let sequence = Math.max(from, sequences.first()); sequence <= sequences.last() && peeked.length < count; sequence++) {
    const message = messages.get(sequence);
    if (message && (sessionId === undefined || message.sessionId === sessionId)) peeked.push(message);
  }
  return peeked;
}

function received(queue: Queue, message: StoredMessage, isForGood: boolean): Body {
  if (isForGood) {
    const bytes = encodeStored(message);
    queue.remove(message);
    return { message: bytes };
  }
  const tag = queue.lock(message);
  return { message: encodeStored(message), "lock-token": rhea.types.wrap_uuid(uuidOfTag(tag)) };
}

function outcomeAsked(body: Body): Outcome {
  const changes = Object.entries((body["properties-to-modify"] ?? {}) as Body).flatMap(([name, value]) => [
    string(name),
    encoded((rhea.types as unknown as { wrap(value: unknown): Typed }).wrap(value)),
  ]);
  switch (body["disposition-status"]) {
    case "completed":
      return { kind: "complete" };
    case "abandoned":
      return { kind: "abandon", isCounted: true, changes };
    case "defered":
      return { kind: "defer", changes };
    case "suspended":
      return deadLetterFor(body["deadletter-reason"] as string | undefined, body["deadletter-description"] as string | undefined, changes);
    default:
      throw new RequestError({ condition: "com.microsoft:argument-error", description: "No such disposition-status." });
  }
}

function sessionAsked(queue: Queue, body: Body): Session {
  const session = queue.sessions?.get(String(body["session-id"]));
  if (!session) throw new RequestError(lockLost(true));
  return session;
}

const tokensOf = (body: Body): string[] => (body["lock-tokens"] as readonly Buffer[]).map(keyOfUuid);
const numbersOf = (body: Body): number[] => (body["sequence-numbers"] as readonly unknown[]).map(Number);
const array = (values: readonly unknown[], code: number): Typed => rhea.types.wrap_array(values, code, undefined);
