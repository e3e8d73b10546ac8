import { createHeap } from "./heap.ts";
import type { StoredMessage } from "./stored-message.ts";

/** Who takes messages: a link to a client. */
export interface Consumer {
  /** How many it can take now. */
  free(): number;
  deliver(message: StoredMessage): void;
  /** What there is for it now has been delivered. */
  onFlowed(): void;
}

/** Messages that wait, by their sequence numbers, and who takes them in turn. */
export interface Lane {
  put(message: StoredMessage): void;
  /** Whether any waits. */
  hasNext(): boolean;
  join(consumer: Consumer): void;
  leave(consumer: Consumer): void;
  /** Delivers what can be delivered. */
  flow(): void;
}

/** An empty lane. `mayFlow` may hold it back: who does must call `flow` later. */
export function createLane(mayFlow: () => boolean): Lane {
  const waiting = createHeap<StoredMessage>((a, b) => a.sequence < b.sequence);
  const consumers: Consumer[] = [];
  let turn = 0;

  /** What was deferred, cancelled or has expired meanwhile lies in the heap still. */
  const first = () => {
    for (;;) {
      const message = waiting.peek();
      if (!message || message.state === "active") return message;
      waiting.pop();
    }
  };
  const nextConsumer = () => {
    for (let i = 0; i < consumers.length; i++) {
      const consumer = consumers[(turn + i) % consumers.length] as Consumer;
      if (consumer.free() <= 0) continue;
      turn = (turn + i + 1) % consumers.length;
      return consumer;
    }
    return undefined;
  };
  return {
    put: (message) => waiting.push(message),
    hasNext: () => first() !== undefined,
    join(consumer) {
      consumers.push(consumer);
    },
    leave(consumer) {
      const at = consumers.indexOf(consumer);
      if (at >= 0) consumers.splice(at, 1);
    },
    flow() {
      for (let message = first(); message; message = first()) {
        const consumer = nextConsumer();
        if (!consumer || !mayFlow()) break;
        waiting.pop();
        consumer.deliver(message);
      }
      for (const consumer of consumers) consumer.onFlowed();
    },
  };
}
