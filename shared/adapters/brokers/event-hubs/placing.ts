import { sha256Hex } from "../../../core/digest.ts";
import type { OutgoingMessage } from "../../../core/ports/publisher.ts";

/** Where a message is sent: by its key, to one partition, or wherever the service puts it. */
export type Place = { key: string } | { partition: string } | "anywhere";

const NUMBER = /^\d{1,9}$/;

/** Whether it takes the partitions' names to place this message. */
export function needsPartitions({ toPartition, orderingKey, orderedBy }: OutgoingMessage): boolean {
  return toPartition !== undefined || (orderingKey === "" && orderedBy !== undefined);
}

/** A message goes where it asks to, else by its key, else by what it is ordered by. Undefined where it asks for a partition that is not there. */
export function placeOf({ toPartition, orderingKey, orderedBy }: OutgoingMessage, partitions: readonly string[]): Place | undefined {
  if (toPartition !== undefined) return partitions.includes(toPartition) ? { partition: toPartition } : undefined;
  if (orderingKey !== "") return { key: orderingKey };
  if (orderedBy !== undefined) return { partition: partitions[indexOf(orderedBy, partitions.length)] as string };
  return "anywhere";
}

/** The partitions of another hub stay apart from each other as far as there are as many here. */
function indexOf(orderedBy: string, partitionCount: number): number {
  const number = NUMBER.test(orderedBy) ? Number(orderedBy) : Number.parseInt(sha256Hex(orderedBy).slice(0, 8), 16);
  return number % partitionCount;
}
