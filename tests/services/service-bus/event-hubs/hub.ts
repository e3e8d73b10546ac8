import { createHash } from "node:crypto";
import { textOf } from "../amqp-bytes.ts";
import { annotationOf, type SentMessage } from "../message.ts";
import type { AmqpError } from "../rhea-server.ts";
import type { HubOptions } from "../shapes.ts";
import { createOwnership, type Ownership } from "./ownership.ts";
import { createPartition, type Partition } from "./partition.ts";

/** An event hub. */
export interface Hub {
  readonly name: string;
  readonly createdAtMs: number;
  readonly maxMessageBytes: number;
  readonly partitions: readonly Partition[];
  partition(id: string): Partition | { error: AmqpError };
  hasGroup(group: string): boolean;
  /** Of a partition in a consumer group. */
  ownership(group: string, partition: Partition): Ownership;
  /** The partition for messages that were sent together: by the partition key of the envelope or of the first, else each in turn. */
  partitionFor(messages: readonly SentMessage[], envelope: SentMessage | undefined): Partition;
}

const MAX_MESSAGE_BYTES = 1_048_576;
const DEFAULT_GROUP = "$default";

/** A hub without events. */
export function createHub(
  name: string,
  { partitions: count, consumerGroups = [], maxMessageBytes }: HubOptions,
  mayFlow: () => boolean,
): Hub {
  if (!(count > 0)) throw new Error(`creating ${name}: an event hub needs partitions`);
  const partitions = Array.from({ length: count }, (_, id) => createPartition(String(id), mayFlow));
  const groups = new Set([DEFAULT_GROUP, ...consumerGroups.map((group) => group.toLowerCase())]);
  const ownerships = new Map<string, Ownership>();
  let turn = 0;
  return {
    name,
    createdAtMs: Date.now(),
    maxMessageBytes: maxMessageBytes ?? MAX_MESSAGE_BYTES,
    partitions,
    partition: (id) => partitions[/^\d+$/.test(id) ? Number(id) : -1] ?? { error: outOfRange(count) },
    hasGroup: (group) => groups.has(group.toLowerCase()),
    ownership(group, { id }) {
      const key = `${group.toLowerCase()} ${id}`;
      const ownership = ownerships.get(key) ?? createOwnership();
      ownerships.set(key, ownership);
      return ownership;
    },
    partitionFor(messages, envelope) {
      const key = keyOf(envelope) ?? keyOf(messages[0]);
      const index = key === undefined ? turn++ % count : indexOfKey(key, count);
      return partitions[index] as Partition;
    },
  };
}

const keyOf = (message: SentMessage | undefined): string | undefined =>
  message && textOf(annotationOf(message.annotations, "x-opt-partition-key"));

const indexOfKey = (key: string, count: number): number => createHash("sha256").update(key).digest().readUInt32BE() % count;

const outOfRange = (count: number): AmqpError => ({
  condition: "com.microsoft:argument-out-of-range",
  description: `The specified partition is invalid for an EventHub partition sender or receiver. It should be between 0 and ${count - 1}.`,
});
