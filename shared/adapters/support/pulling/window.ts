import type { Message } from "../../../core/message.ts";
import type { Delivery } from "../../../core/ports/source.ts";

/** A message of a partition that was handed over and is not settled. */
export interface Held {
  readonly bytes: number;
  /** Undefined once it is settled. */
  message: Message | undefined;
  /** Of the last hand-over, or of the next one once it was given back. */
  attempt: number;
  /** Whether it is handed over, and not given back. */
  isOut: boolean;
  /** When it is handed over again, by `performance.now()`. */
  dueMs: number;
  readonly partition: HeldPartition;
}

/** A partition that is read in order, and committed up to its first message that is not settled. */
export interface HeldPartition {
  readonly index: number | string;
  /** False once the partition is another consumer's. */
  isHeld: boolean;
  /** Bytes that were received and not handed over. */
  readonly waitingBytes: number;
  /** The next message in order; undefined where there is none now. */
  peek(): Message | undefined;
  /** Takes the message that was peeked at, to be handed over. */
  take(bytes: number): Held;
  /** Settles for good. */
  settle(held: Held): void;
  /** What is handed over or given back, and not settled. */
  open(): Iterable<Held>;
}

/** A delivery that knows what it hands over. */
export interface HeldDelivery extends Delivery {
  readonly held: Held;
}

/** The messages of one partition from the first that is not settled to the last that was handed over. `F`: what a commit names for reading from a message on. */
export interface Window<F> {
  add(message: Message, bytes: number, from: F, partition: HeldPartition): Held;
  settle(held: Held): void;
  /** From where the first message that is not settled is read again; undefined where all are settled. */
  first(): { readonly from: F } | undefined;
  /** Nothing more is to be handed over until the first message is settled. */
  isFull(): boolean;
  open(): Iterable<Held>;
}

/** Handed-over places are cut off in runs of this many. */
const CUT_AFTER = 1_000;
/** Settled messages behind one that is not. */
const MAX_WINDOW = 100_000;

export function createWindow<F>(): Window<F> {
  let held: (Held & { readonly from: F })[] = [];
  let head = 0;
  return {
    add(message, bytes, from, partition) {
      const added = { from, bytes, message, attempt: 1, isOut: false, dueMs: 0, partition };
      held.push(added);
      return added;
    },
    settle(settled) {
      settled.message = undefined;
      settled.isOut = false;
      while (head < held.length && !held[head]?.message) head++;
      if (head < CUT_AFTER && head < held.length) return;
      held = held.slice(head);
      head = 0;
    },
    first: () => held[head],
    isFull: () => held.length - head >= MAX_WINDOW,
    *open() {
      for (let i = head; i < held.length; i++) {
        const each = held[i] as Held;
        if (each.message) yield each;
      }
    },
  };
}
