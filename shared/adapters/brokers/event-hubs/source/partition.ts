import { contentSize, type Message } from "../../../../core/message.ts";
import { createWindow, type Held, type HeldPartition } from "../../../support/pulling/window.ts";
import type { Position } from "../message.ts";

/** A message, and where it lies in its partition. */
export interface Arrived {
  message: Message;
  position: Position;
}

/** One partition that this consumer owns: what has arrived of it, what is handed over, and how far it is settled. */
export interface AssignedPartition extends HeldPartition {
  readonly index: string;
  /** Written last, or read at the start; undefined where there is none. */
  checkpoint: Position | undefined;
  /** The last event up to which all is settled; undefined where none is. */
  settledTo(): Position | undefined;
  /** Adds what has arrived, in order. Returns how many events are missing before it, that were deleted. */
  add(arrived: readonly Arrived[]): number;
}

/** What was handed over is forgotten in runs of this many. */
const CUT_AFTER = 1_000;

/** `from`: the event behind which it is read. */
export function createPartition(index: string, from: Position | undefined): AssignedPartition {
  const window = createWindow<Position | undefined>();
  let waiting: Arrived[] = [];
  let next = 0;
  let waitingBytes = 0;
  let takenTo = from;
  let lastSequence = from?.sequenceNumber ?? -1;
  const peek = () => (window.isFull() ? undefined : waiting[next]?.message);
  return {
    index,
    isHeld: true,
    checkpoint: from,
    get waitingBytes() {
      return waitingBytes;
    },
    add(arrived) {
      let lost = 0;
      for (const each of arrived) {
        const { sequenceNumber } = each.position;
        if (sequenceNumber <= lastSequence) continue;
        // Without a checkpoint, what was there before is not missed.
        if (lastSequence >= 0) lost += sequenceNumber - lastSequence - 1;
        lastSequence = sequenceNumber;
        waiting.push(each);
        waitingBytes += contentSize(each.message);
      }
      return lost;
    },
    peek,
    take(bytes) {
      const { message, position } = waiting[next] as Arrived;
      const held = window.add(message, bytes, takenTo, this);
      takenTo = position;
      waitingBytes -= bytes;
      next++;
      if (next >= CUT_AFTER || next === waiting.length) {
        waiting = waiting.slice(next);
        next = 0;
      }
      return held;
    },
    settle: (held: Held) => window.settle(held),
    settledTo() {
      const first = window.first();
      return first ? first.from : takenTo;
    },
    open: window.open,
  };
}
