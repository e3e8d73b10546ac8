import { contentSize } from "../../../core/message.ts";
import type { Delivery } from "../../../core/ports/source.ts";
import type { Taken } from "../../support/pulling/gathering.ts";

/** Deliveries that have come and are not handed over yet, oldest first. */
export interface Held {
  readonly count: number;
  readonly bytes: number;
  add(delivery: Delivery): void;
  /** Moves deliveries to `taken` within what is left of its limits; one more is taken where `taken` is empty. Returns false once no more fits. */
  moveTo(taken: Taken): boolean;
  ackIds(): string[];
  /** Forgets all and returns their ack ids. */
  clear(): string[];
}

/** Handed-over places are cut off in runs of this many. */
const CUT_AFTER = 1_000;

export function createHeld(): Held {
  let queue: { delivery: Delivery; bytes: number }[] = [];
  let head = 0;
  let bytes = 0;
  const ackIds = () => queue.slice(head).map(({ delivery }) => delivery.ackId);
  return {
    get count() {
      return queue.length - head;
    },
    get bytes() {
      return bytes;
    },
    add(delivery) {
      const size = contentSize(delivery.message);
      queue.push({ delivery, bytes: size });
      bytes += size;
    },
    moveTo(taken) {
      for (; head < queue.length; head++) {
        const next = queue[head] as { delivery: Delivery; bytes: number };
        const fits = taken.deliveries.length === 0 || taken.bytes + next.bytes <= taken.maxBytes;
        if (taken.deliveries.length >= taken.maxMessages || !fits) break;
        taken.deliveries.push(next.delivery);
        taken.bytes += next.bytes;
        bytes -= next.bytes;
      }
      const isFull = head < queue.length || taken.deliveries.length >= taken.maxMessages || taken.bytes >= taken.maxBytes;
      if (head >= CUT_AFTER || head === queue.length) {
        queue = queue.slice(head);
        head = 0;
      }
      return !isFull;
    },
    ackIds,
    clear() {
      const ids = ackIds();
      queue = [];
      head = 0;
      bytes = 0;
      return ids;
    },
  };
}
