import type { Log } from "../../../../core/ports/log.ts";
import type { Coordinator } from "../group/coordinator.ts";
import type { Generation } from "../group/membership.ts";
import { type Committed, commitOffsets, committedOffsets, listOffsets, type Note, type StartAt } from "../group/offsets.ts";
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
  /** Where each partition begins that was assigned; `isReplaced`: the topic was made again while it was read. Throws the client's errors. */
  offsetsOf(partitions: readonly number[], topic: TopicInfo, generation: Generation, isReplaced: boolean): Promise<Map<number, Committed>>;
  /** Those of the partitions that others have read on in, behind where they are settled to here. Throws the client's errors. */
  overtaken(partitions: readonly AssignedPartition[], topic: TopicInfo): Promise<Set<AssignedPartition>>;
  /** Where to go on after a partition's log turned out not to reach to `wanted`. Throws the client's errors. */
  offsetInRange(partition: number, wanted: number, topic: TopicInfo): Promise<number>;
}

const REQUEST_TIMEOUT_MS = 10_000;

export function createStarting(cluster: Cluster, coordinator: Coordinator, { topic: name, group, start, log }: StartingOptions): Starting {
  const isOf = (topic: TopicInfo, { note }: Committed) => note.topicId === "" || topic.id === "" || note.topicId === topic.id;
  const connections = cluster.connections({ requestTimeout: REQUEST_TIMEOUT_MS });
  const list = (topic: TopicInfo, partitions: readonly number[], at: StartAt) =>
    partitions.length === 0 ? new Map<number, number>() : listOffsets(cluster, connections, topic, partitions, at);
  return {
    async offsetsOf(partitions, topic, generation, isReplaced) {
      if (partitions.length === 0) return new Map();
      const all = topic.leaders.map((_, partition) => partition);
      const committed = await committedOffsets(coordinator, group, name, all);
      const known = new Map([...committed].filter(([, each]) => isOf(topic, each)));
      const isNewTopic = isReplaced || known.size < committed.size;
      if (isNewTopic) log.warn("the topic was made again: it is read from its beginning", { topic: name, group });
      const note: Note = { topicId: topic.id, firstCount: firstCountOf(known, topic) };
      // What lies in a topic that was made again, or in a partition that was added to one that this group reads, is new.
      const isNew = (partition: number) => isNewTopic || (known.size > 0 && partition >= note.firstCount);
      const { true: fromBeginning = [], false: fromStart = [] } = Object.groupBy(
        partitions.filter((partition) => !known.has(partition)),
        (partition) => (isNew(partition) ? "true" : "false"),
      );
      const listed = [...(await list(topic, fromBeginning, "earliest")), ...(await list(topic, fromStart, start))];
      const first = new Map(listed.map(([partition, offset]) => [partition, { offset, note }]));
      // Noted at once: else "latest" would be a later one after a crash.
      if (first.size > 0) await commitOffsets(coordinator, group, generation, name, first);
      return new Map(partitions.map((partition) => [partition, known.get(partition) ?? (first.get(partition) as Committed)]));
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

/** As the group noted it; where nobody did, every partition without an offset counts as added, so that nothing is passed over. */
function firstCountOf(known: ReadonlyMap<number, Committed>, topic: TopicInfo): number {
  if (known.size === 0) return topic.leaders.length;
  const counts = [...known.values()].map(({ note }) => note.firstCount).filter((count) => count > 0);
  return counts.length > 0 ? Math.min(...counts) : 0;
}
