import type { Log } from "../../../../core/ports/log.ts";
import type { Coordinator } from "../group/coordinator.ts";
import type { Generation } from "../group/membership.ts";
import { type Committed, commitOffsets, committedOffsets, listOffsets, type StartAt } from "../group/offsets.ts";
import type { Cluster, TopicInfo } from "../wire/cluster.ts";
import type { AssignedPartition } from "./partition.ts";

export interface StartingOptions {
  topic: string;
  group: string;
  start: StartAt;
  log: Log;
}

/** Where partitions are read from. */
export interface Starting {
  /** The offset of each partition that was assigned; `isReplaced`: the topic was made again while it was read. Throws the client's errors. */
  offsetsOf(partitions: readonly number[], topic: TopicInfo, generation: Generation, isReplaced: boolean): Promise<Map<number, number>>;
  /** Those of the partitions that others have read on in, behind where they are settled to here. Throws the client's errors. */
  overtaken(partitions: readonly AssignedPartition[], topic: TopicInfo): Promise<Set<AssignedPartition>>;
  /** Where to go on after a partition's log turned out not to reach to `wanted`. Throws the client's errors. */
  offsetInRange(partition: number, wanted: number, topic: TopicInfo): Promise<number>;
}

const REQUEST_TIMEOUT_MS = 10_000;

export function createStarting(cluster: Cluster, coordinator: Coordinator, { topic: name, group, start, log }: StartingOptions): Starting {
  const isOf = (topic: TopicInfo, { topicId }: Committed) => topicId === "" || topic.id === "" || topicId === topic.id;
  const connections = cluster.connections({ requestTimeout: REQUEST_TIMEOUT_MS });
  const list = (topic: TopicInfo, partitions: readonly number[], at: StartAt) =>
    partitions.length === 0 ? new Map<number, number>() : listOffsets(cluster, connections, topic, partitions, at);
  return {
    async offsetsOf(partitions, topic, generation, isReplaced) {
      if (partitions.length === 0) return new Map();
      const all = topic.leaders.map((_, partition) => partition);
      const committed = await committedOffsets(coordinator, group, name, all);
      const known = new Map([...committed].filter(([, each]) => isOf(topic, each)).map(([partition, { offset }]) => [partition, offset]));
      if (isReplaced || known.size < committed.size)
        log.warn("the topic was made again: it is read from its beginning", { topic: name, group });
      const without = partitions.filter((partition) => !known.has(partition));
      // What this group has read before has grown by a partition, or was made again: all that lies there is new.
      const at = isReplaced || committed.size > 0 ? "earliest" : start;
      const first = await list(topic, without, at);
      // Noted at once: else "latest" would be a later one after a crash.
      if (first.size > 0) await commitOffsets(coordinator, group, generation, topic, first);
      return new Map(partitions.map((partition) => [partition, known.get(partition) ?? (first.get(partition) as number)]));
    },
    async overtaken(partitions, topic) {
      if (partitions.length === 0) return new Set();
      const indexes = partitions.map(({ index }) => index);
      const committed = await committedOffsets(coordinator, group, name, indexes);
      const isOvertaken = ({ index, settledTo }: AssignedPartition) => {
        const by = committed.get(index);
        return by !== undefined && isOf(topic, by) && by.offset > settledTo;
      };
      return new Set(partitions.filter(isOvertaken));
    },
    async offsetInRange(partition, wanted, topic) {
      const first = (await list(topic, [partition], "earliest")).get(partition) as number;
      const end = (await list(topic, [partition], "latest")).get(partition) as number;
      if (wanted >= first && wanted <= end) return wanted;
      const fields = { topic: name, group, partition, wanted, first, end };
      if (wanted < first)
        log.error("messages were deleted by the topic's retention before they were read", { ...fields, lost: first - wanted });
      else log.error("the partition ends before what was read last: it is read from its beginning", fields);
      return first;
    },
  };
}
