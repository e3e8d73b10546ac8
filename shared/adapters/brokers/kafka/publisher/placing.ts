import type { OutgoingMessage } from "../../../../core/ports/publisher.ts";
import { partitionOfKey } from "./partitioning.ts";

/** Fewer messages without a key than this are not spread over several partitions. */
const LEAST_SLICE = 100;
const NUMBER = /^\d{1,9}$/;

/** Chooses partitions: -1 where the message asks for one that the topic lacks. */
export interface Placing {
  partitionsOf(messages: readonly OutgoingMessage[], partitionCount: number): number[];
}

/**
 * A message goes where it asks to, else by its key as Kafka's own clients place it, else by what it is ordered by; the rest is spread in slices,
 * each call beginning with another partition.
 */
export function createPlacing(): Placing {
  let turn = 0;
  return {
    partitionsOf(messages, partitionCount) {
      const slice = Math.max(LEAST_SLICE, Math.ceil(messages.length / partitionCount));
      const first = turn++;
      return messages.map(({ toPartition, key, orderedBy }, position) => {
        if (toPartition !== undefined) return numberedPartition(toPartition, partitionCount);
        if (key) return partitionOfKey(key, partitionCount);
        if (orderedBy !== undefined) return placeOfOrder(orderedBy, partitionCount);
        return (first + Math.floor(position / slice)) % partitionCount;
      });
    },
  };
}

function numberedPartition(text: string, partitionCount: number): number {
  return NUMBER.test(text) && Number(text) < partitionCount ? Number(text) : -1;
}

/** The partitions of another topic stay apart from each other as far as there are as many here. */
function placeOfOrder(orderedBy: string, partitionCount: number): number {
  if (NUMBER.test(orderedBy)) return Number(orderedBy) % partitionCount;
  return partitionOfKey(Buffer.from(orderedBy, "utf8"), partitionCount);
}
