import type { ReceivedMessage } from "./form.ts";

/** A message that was pulled and is not acknowledged yet. */
export interface Held {
  readonly id: string;
  readonly orderingKey: string;
  readonly received: ReceivedMessage;
  /** Of its latest delivery. */
  ackId: string;
  /** Pushes so far that were not acknowledged. */
  failures: number;
}

/** The messages that a pump holds, and which of them may be pushed: of each ordering key only the first. */
export interface HeldMessages {
  readonly size: number;
  /** Whether any may be pushed now. */
  hasNext(): boolean;
  /** Takes a delivery. One of a message that is held already only renews its lease's id. */
  take(received: ReceivedMessage): void;
  /** The next that may be pushed. It is out of the row until `again` or `done`. */
  next(): Held | undefined;
  /** It may be pushed once more. */
  again(held: Held): void;
  /** It was acknowledged: the next of its key may be pushed. */
  done(held: Held): void;
  ackIds(): string[];
}

/** Holds nothing yet. */
export function createHeldMessages(): HeldMessages {
  const all = new Map<string, Held>();
  const byKey = new Map<string, Held[]>();
  // A set keeps the order of insertion and drops its first cheaply, however long it is.
  const ready = new Set<Held>();
  const line = (held: Held) => {
    if (held.orderingKey === "") return ready.add(held);
    const others = byKey.get(held.orderingKey);
    if (others) return others.push(held);
    byKey.set(held.orderingKey, [held]);
    return ready.add(held);
  };
  return {
    get size() {
      return all.size;
    },
    hasNext: () => ready.size > 0,
    take(received) {
      const id = received.message?.messageId ?? "";
      const ackId = received.ackId ?? "";
      const known = all.get(id);
      if (known) {
        known.ackId = ackId;
        return;
      }
      const held: Held = { id, orderingKey: received.message?.orderingKey ?? "", received, ackId, failures: 0 };
      all.set(id, held);
      line(held);
    },
    next() {
      const [held] = ready;
      if (held) ready.delete(held);
      return held;
    },
    again: (held) => void ready.add(held),
    done(held) {
      all.delete(held.id);
      const others = byKey.get(held.orderingKey);
      if (!others) return;
      others.shift();
      const [next] = others;
      if (next) ready.add(next);
      else byKey.delete(held.orderingKey);
    },
    ackIds: () => Array.from(all.values(), ({ ackId }) => ackId),
  };
}
