import { createDeadlines } from "./deadlines.ts";
import { createDuplicates } from "./duplicates.ts";
import { createEndings, type Endings } from "./endings.ts";
import { type Consumer, createLane } from "./lane.ts";
import { freshTag, keyOfTag } from "./lock-token.ts";
import { createLocks } from "./locks.ts";
import type { SentMessage } from "./message.ts";
import type { Options } from "./options.ts";
import { createSessions, type Sessions } from "./sessions.ts";
import { createStore, type Store } from "./store.ts";
import { type StoredMessage, scheduledAtMs } from "./stored-message.ts";

/** A queue, a subscription, or the dead-letter queue of one. */
export interface Queue extends Pick<Store, "messages" | "tally" | "sequences">, Pick<Endings, "settle" | "remove"> {
  readonly name: string;
  readonly options: Options;
  readonly sessions: Sessions | undefined;
  readonly deadLetters: Queue | undefined;
  /** Takes messages, unless they are duplicates. */
  enqueue(messages: readonly SentMessage[]): void;
  /** Takes a message that becomes active at a time; returns its sequence number until then. */
  schedule(message: SentMessage, atMs: number): number;
  /** False where none of that number is scheduled. */
  cancel(sequence: number): boolean;
  /** Takes a message of another queue, with its number. */
  take(message: StoredMessage): void;
  join(consumer: Consumer): void;
  leave(consumer: Consumer): void;
  /** Locks a message that goes out; returns its tag. */
  lock(message: StoredMessage): Buffer;
  /** Locks anew; returns until when, undefined where the lock is lost. */
  renew(key: string): number | undefined;
  expireLocks(): number;
  /** Delivers what can be delivered. */
  flow(): void;
}

export interface QueueSetup {
  name: string;
  options: Options;
  /** Whether a message may go out now: who says no calls `flow` later. */
  mayFlow(): boolean;
  /** Where dead letters go; undefined in a dead-letter queue. */
  deadLetters?: Queue;
}

/** An empty queue. */
export function createQueue({ name, options, mayFlow, deadLetters }: QueueSetup): Queue {
  const store = createStore(options.defaultTtlMs);
  const lane = createLane(mayFlow);
  // What a session's receiver has in hand is locked as long as the session is.
  const locks = createLocks<StoredMessage>(options.requiresSession ? Infinity : options.lockMs, (message) =>
    endings.giveBack(message, true),
  );
  const sessions = options.requiresSession
    ? createSessions({ lockMs: options.lockMs, mayFlow, onFreed: (message, isCounted) => endings.giveBack(message, isCounted) })
    : undefined;
  const sessionOf = ({ sessionId = "" }: StoredMessage) => sessions?.get(sessionId);
  const put = (message: StoredMessage) => (sessions ? sessions.put(message) : lane.put(message));
  const endings = createEndings({ store, locks, options, deadLetters, sessionOf, putBack: (message) => flowAfter(() => put(message)) });
  const flowAfter = (change: () => void) => {
    change();
    lane.flow();
  };
  const { schedule, cancel } = createSchedule(store, put, lane.flow);
  const duplicates = createDuplicates(options.duplicateDetectionMs);
  const add = (message: StoredMessage) => {
    store.tally.enqueued++;
    store.add(message);
    put(message);
  };
  const enqueueOne = (sent: SentMessage) => {
    if (duplicates.isKnown(sent.messageId)) return;
    const atMs = scheduledAtMs(sent);
    if (atMs !== undefined && atMs > Date.now()) schedule(sent, atMs);
    else add(store.number(sent, "active"));
  };
  return {
    ...store,
    ...endings,
    name,
    options,
    sessions,
    deadLetters,
    schedule,
    cancel,
    join: lane.join,
    leave: lane.leave,
    enqueue: (messages) => flowAfter(() => messages.forEach(enqueueOne)),
    take: (message) => flowAfter(() => add(message)),
    lock(message) {
      store.move(message, "locked");
      const tag = freshTag();
      const untilMs = locks.hold(keyOfTag(tag), message);
      const session = sessionOf(message);
      session?.held.add(message);
      Object.assign(message, { tag, lockedUntilMs: session ? session.lockedUntilMs : untilMs });
      return tag;
    },
    renew(key) {
      const untilMs = locks.renew(key);
      Object.assign(locks.get(key) ?? {}, { lockedUntilMs: untilMs });
      return untilMs;
    },
    expireLocks: () => locks.expireAll() + (sessions?.expireAll() ?? 0),
    flow() {
      lane.flow();
      sessions?.flow();
    },
  };
}

/** Messages that become active later: with the next number, as if they were sent then. */
function createSchedule(store: Store, put: (message: StoredMessage) => void, flow: () => void): Pick<Queue, "schedule" | "cancel"> {
  const due = createDeadlines<StoredMessage>((message) => {
    if (message.state !== "scheduled") return;
    store.move(message, "gone");
    const active = store.number(message, "active");
    store.add(active);
    put(active);
    flow();
  });
  return {
    schedule(sent, atMs) {
      store.tally.enqueued++;
      const message = store.number(sent, "scheduled");
      store.add(message);
      due.add(atMs, message);
      return message.sequence;
    },
    cancel(sequence) {
      const message = store.messages.get(sequence);
      if (message?.state !== "scheduled") return false;
      store.move(message, "gone");
      return true;
    },
  };
}
