import { contentSize } from "../../../core/message.ts";
import type { Delivery } from "../../../core/ports/source.ts";
import type { Taken } from "./gathering.ts";
import type { Held, HeldDelivery, HeldPartition } from "./window.ts";

/** The partitions that a source holds, and what it hands over of them, for brokers that know no leases: they are kept here, for this process. */
export interface Holding<P extends HeldPartition> {
  readonly partitions: ReadonlyMap<P["index"], P>;
  /** Bytes that were received and not handed over. */
  waitingBytes(): number;
  /** Messages that are handed over and neither settled nor given back. */
  outCount(): number;
  /** What is handed over of those that are left out is nobody's any more. */
  replace(partitions: readonly P[]): void;
  /** As a supply's: what is to come again first, then partition by partition. */
  moveTo(taken: Taken): boolean;
  nextLookMs(): number;
  /** Settles the deliveries that are still ours; returns how many those were. */
  settle(deliveries: readonly Delivery[]): number;
  /** Gives back, to come again after `delayMs`. */
  release(deliveries: readonly Delivery[], delayMs: number): void;
  extend(deliveries: readonly Delivery[], leaseMs: number): void;
}

const LEASE_MS = 60_000;
/** Bound of what is handed over, or given back, and not settled. */
const MAX_OPEN_BYTES = 128_000_000;

export function createHolding<P extends HeldPartition>(): Holding<P> {
  let partitions = new Map<P["index"], P>();
  let order: P[] = [];
  let openBytes = 0;
  let out = 0;
  /** Nothing is due before. */
  let dueMs = Number.POSITIVE_INFINITY;

  const handOver = (held: Held, nowMs: number): HeldDelivery => {
    held.isOut = true;
    held.dueMs = nowMs + LEASE_MS;
    dueMs = Math.min(dueMs, held.dueMs);
    out++;
    const message = held.message as NonNullable<Held["message"]>;
    // The id alone for nearly all: a text less for each message.
    const ackId = held.attempt === 1 ? message.brokerMessageId : `${message.brokerMessageId}/${held.attempt}`;
    return { ackId, attempt: held.attempt, message, held };
  };
  const hasRoom = (taken: Taken, bytes: number) =>
    taken.deliveries.length < taken.maxMessages && (taken.deliveries.length === 0 || taken.bytes + bytes <= taken.maxBytes);
  const put = (taken: Taken, delivery: HeldDelivery) => {
    taken.deliveries.push(delivery);
    taken.bytes += delivery.held.bytes;
  };
  /** Returns false once no more fits. */
  const moveDue = (taken: Taken, nowMs: number): boolean => {
    if (nowMs < dueMs) return true;
    dueMs = Number.POSITIVE_INFINITY;
    let isFull = false;
    for (const held of order.flatMap((partition) => [...partition.open()])) {
      if (held.dueMs > nowMs || isFull || !hasRoom(taken, held.bytes)) {
        isFull ||= held.dueMs <= nowMs;
        dueMs = Math.min(dueMs, held.dueMs);
        continue;
      }
      if (held.isOut) {
        held.attempt++;
        out--;
      }
      put(taken, handOver(held, nowMs));
    }
    return !isFull;
  };
  /** Takes of one partition until it has no more; false once no more fits. */
  const moveFrom = (partition: P, taken: Taken, nowMs: number): boolean => {
    for (let message = partition.peek(); message; message = partition.peek()) {
      const bytes = contentSize(message);
      if (!hasRoom(taken, bytes) || openBytes >= MAX_OPEN_BYTES) return false;
      openBytes += bytes;
      put(taken, handOver(partition.take(bytes), nowMs));
    }
    return true;
  };
  /** What a delivery hands over; undefined where it is not ours any more. */
  const heldOf = (delivery: Delivery): Held | undefined => {
    const { held } = delivery as Partial<HeldDelivery>;
    return held &&
      partitions.get(held.partition.index) === held.partition &&
      held.isOut &&
      held.attempt === delivery.attempt &&
      held.message
      ? held
      : undefined;
  };
  return {
    get partitions() {
      return partitions;
    },
    waitingBytes: () => order.reduce((sum, { waitingBytes }) => sum + waitingBytes, 0),
    outCount: () => out,
    replace(now) {
      for (const partition of order) {
        if (now.includes(partition)) continue;
        partition.isHeld = false;
        for (const held of partition.open()) {
          openBytes -= held.bytes;
          if (held.isOut) out--;
        }
      }
      order = [...now];
      partitions = new Map(now.map((partition) => [partition.index, partition]));
    },
    moveTo(taken) {
      const nowMs = performance.now();
      if (!moveDue(taken, nowMs)) return false;
      for (let turns = order.length; turns > 0; turns--) {
        const partition = order[0] as P;
        const hasMore = !moveFrom(partition, taken, nowMs);
        if (hasMore && taken.deliveries.length === 0) return true;
        // Also where it has more: the others are to have their turns.
        order.push(order.shift() as P);
        if (hasMore) return false;
      }
      return taken.deliveries.length < taken.maxMessages && taken.bytes < taken.maxBytes;
    },
    nextLookMs: () => dueMs,
    settle(deliveries) {
      let count = 0;
      for (const delivery of deliveries) {
        const held = heldOf(delivery);
        if (!held) continue;
        openBytes -= held.bytes;
        out--;
        held.partition.settle(held);
        count++;
      }
      return count;
    },
    release(deliveries, delayMs) {
      const nowMs = performance.now();
      for (const delivery of deliveries) {
        const held = heldOf(delivery);
        if (!held) continue;
        held.isOut = false;
        held.attempt++;
        held.dueMs = nowMs + delayMs;
        dueMs = Math.min(dueMs, held.dueMs);
        out--;
      }
    },
    extend(deliveries, leaseMs) {
      const nowMs = performance.now();
      for (const delivery of deliveries) {
        const held = heldOf(delivery);
        if (!held) continue;
        held.dueMs = nowMs + Math.max(0, leaseMs);
        dueMs = Math.min(dueMs, held.dueMs);
      }
    },
  };
}
