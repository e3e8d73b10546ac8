import { randomUUID } from "node:crypto";
import { createDeadlines } from "./deadlines.ts";
import { type SentMessage, withMessageId } from "./message.ts";
import { type MessageState, type StoredMessage, sendersAnnotations } from "./stored-message.ts";

/** How many messages there are of each state, and how many ever came and were settled for good. */
export type Tally = Record<MessageState | "enqueued" | "completed", number>;

/** The messages of a queue, by their sequence numbers, in their order. */
export interface Store {
  readonly messages: ReadonlyMap<number, StoredMessage>;
  readonly tally: Tally;
  /** Of the first message that lies in it, and of the last that ever did. */
  readonly sequences: { first(): number; last(): number };
  /** What was sent, with the next number, a time, and a message id if it has none. */
  number(sent: SentMessage, state: "active" | "scheduled"): StoredMessage;
  add(message: StoredMessage): void;
  /** Changes a message's state; it is removed where it is gone. */
  move(message: StoredMessage, state: MessageState): void;
}

/** An empty store. What is active, or deferred, is removed when its time to live is over: `ttlMs` at most. */
export function createStore(ttlMs: number): Store {
  const messages = new Map<number, StoredMessage>();
  const tally: Tally = { active: 0, locked: 0, deferred: 0, scheduled: 0, gone: 0, enqueued: 0, completed: 0 };
  let last = 0;
  const move = (message: StoredMessage, state: MessageState) => {
    tally[message.state]--;
    tally[state]++;
    message.state = state;
    if (state === "gone") messages.delete(message.sequence);
  };
  const expiries = createDeadlines<StoredMessage>((message) => {
    if (message.state === "active" || message.state === "deferred") move(message, "gone");
  });
  return {
    messages,
    tally,
    sequences: { first: () => messages.keys().next().value ?? Infinity, last: () => last },
    number(sent, state) {
      const named = sent.messageId === undefined ? withMessageId(sent, randomUUID().replaceAll("-", "")) : sent;
      const enqueuedAtMs = Date.now();
      const expiresAtMs = enqueuedAtMs + Math.min(sent.ttlMs ?? Infinity, ttlMs);
      return {
        ...named,
        annotations: sendersAnnotations(sent.annotations),
        sequence: ++last,
        enqueuedAtMs,
        expiresAtMs,
        state,
        deliveryCount: 0,
      };
    },
    add(message) {
      tally[message.state]++;
      messages.set(message.sequence, message);
      last = Math.max(last, message.sequence);
      if (message.state === "active" && message.expiresAtMs !== Infinity) expiries.add(message.expiresAtMs, message);
    },
    move,
  };
}
