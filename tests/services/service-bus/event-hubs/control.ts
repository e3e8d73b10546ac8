import { parseAddress } from "../address.ts";
import { takeApart } from "../message.ts";
import type { Counts } from "../shapes.ts";
import type { StoredEvent } from "./event.ts";
import type { Hub } from "./hub.ts";
import type { Partition } from "./partition.ts";

/** The partitions that `hub` or `hub/Partitions/n` names; undefined where there is no such hub. */
export function partitionsAt(address: string, find: (name: string) => Hub | undefined): readonly Partition[] | undefined {
  const { entity, partition: id } = parseAddress(address);
  const hub = find(entity);
  if (!hub || id === undefined) return hub?.partitions;
  const partition = hub.partition(id);
  if ("error" in partition) throw new Error(`looking into ${address}: ${partition.error.description}`);
  return [partition];
}

export function countEvents(partitions: readonly Partition[]): Counts {
  const sum = (count: (partition: Partition) => number) => partitions.reduce((all, partition) => all + count(partition), 0);
  return {
    active: sum(({ last, firstSequence }) => last.sequence + 1 - firstSequence),
    enqueued: sum(({ last }) => last.sequence + 1),
    locked: 0,
    deferred: 0,
    scheduled: 0,
    deadLettered: 0,
    completed: 0,
  };
}

export const peekEvents = (partitions: readonly Partition[], limit: number) =>
  partitions.flatMap((partition) => partition.events(limit).map(formOf)).slice(0, limit);

const formOf = ({ sequence, offset, enqueuedAtMs, bytes, sessionId }: StoredEvent) => ({
  sequence,
  offset: String(offset),
  bytes: bytes.toString("base64"),
  state: "active" as const,
  deliveryCount: 0,
  enqueuedAtMs,
  sessionId,
});

/** Puts encoded events into a partition, or into each of a hub's in turn. */
export function loadEvents(hub: Hub, messages: readonly Buffer[], id: number | undefined): void {
  const sent = messages.map(takeApart);
  if (id === undefined) {
    for (const message of sent) hub.partitionFor([message], undefined).append([message]);
    return;
  }
  const partition = hub.partition(String(id));
  if ("error" in partition) throw new Error(`loading ${hub.name}: ${partition.error.description}`);
  partition.append(sent);
}
