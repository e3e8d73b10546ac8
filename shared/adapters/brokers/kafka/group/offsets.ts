import { LIST_OFFSETS, OFFSET_COMMIT, OFFSET_FETCH } from "../wire/apis.ts";
import type { Cluster, TopicInfo } from "../wire/cluster.ts";
import type { Connections } from "../wire/connections.ts";
import type { Coordinator } from "./coordinator.ts";
import type { Generation } from "./membership.ts";

/** Where a group starts that has committed nothing yet: at either end, or at the first message of this time (milliseconds) or later. */
export type StartAt = "earliest" | "latest" | number;

const EARLIEST = -2n;
const LATEST = -1n;
const NONE = -1;

/** What a group notes beside an offset. */
export interface Note {
  /** Id of the topic that the offset belongs to; empty where that is not known. */
  topicId: string;
  /** Partitions that the topic had when the group began to read it: those beyond were added later. 0 where that is not known. */
  firstCount: number;
}

/** How far a group has come in a partition. */
export interface Committed {
  offset: number;
  note: Note;
}

/** Asks what the group has committed of these partitions; those without are left out. Throws the client's errors. */
export async function committedOffsets(
  coordinator: Coordinator,
  group: string,
  topic: string,
  partitions: readonly number[],
): Promise<Map<number, Committed>> {
  const topics = [{ name: topic, partitionIndexes: [...partitions] }];
  const answer = await coordinator.ask(OFFSET_FETCH, [{ groupId: group, memberId: null, memberEpoch: NONE, topics }], false);
  // Older brokers answer for one group, without naming it.
  const answered = answer as typeof answer & { topics?: (typeof answer.groups)[number]["topics"] };
  const found = [...(answered.topics ?? []), ...answer.groups.flatMap((each) => each.topics)];
  const committed = new Map<number, Committed>();
  for (const { partitionIndex, committedOffset, metadata } of found.flatMap((each) => each.partitions)) {
    if (committedOffset >= 0n) committed.set(partitionIndex, { offset: Number(committedOffset), note: readNote(metadata ?? "") });
  }
  return committed;
}

const NOTE = /^([0-9a-f-]*)\/(\d{1,9})$/;

function readNote(text: string): Note {
  const [, topicId = "", firstCount = "0"] = NOTE.exec(text) ?? [];
  return { topicId, firstCount: Number(firstCount) };
}

/** Commits how far partitions of a topic are settled. Throws the client's errors. */
export async function commitOffsets(
  coordinator: Coordinator,
  group: string,
  { memberId, id }: Generation,
  topic: string,
  offsets: ReadonlyMap<number, Committed>,
): Promise<void> {
  const partitions = [...offsets].map(([partitionIndex, { offset, note }]) => ({
    partitionIndex,
    committedOffset: BigInt(offset),
    committedLeaderEpoch: NONE,
    committedMetadata: `${note.topicId}/${note.firstCount}`,
  }));
  await coordinator.ask(OFFSET_COMMIT, group, id, memberId, null, [{ name: topic, partitions }]);
}

/** Asks the leaders where these partitions start, or end, or what came at that time or later first. Throws the client's errors. */
export async function listOffsets(
  cluster: Cluster,
  connections: Connections,
  topic: TopicInfo,
  partitions: readonly number[],
  at: StartAt,
): Promise<Map<number, number>> {
  const timestamp = at === "earliest" ? EARLIEST : at === "latest" ? LATEST : BigInt(at);
  const offsets = new Map<number, number>();
  const byLeader = Map.groupBy(partitions, (partition) => topic.leaders[partition] ?? NONE);
  for (const [leader, led] of byLeader) {
    const asked = led.map((partitionIndex) => ({ partitionIndex, currentLeaderEpoch: NONE, timestamp }));
    const answer = await connections.ask(await cluster.broker(leader), LIST_OFFSETS, NONE, 0, [{ name: topic.name, partitions: asked }]);
    for (const { partitionIndex, offset } of answer.topics.flatMap((each) => each.partitions)) offsets.set(partitionIndex, Number(offset));
  }
  const behindAll = partitions.filter((partition) => (offsets.get(partition) ?? NONE) < 0);
  if (behindAll.length === 0 || at === "latest") return offsets;
  // Nothing is that young: what comes from now on is.
  return new Map([...offsets, ...(await listOffsets(cluster, connections, topic, behindAll, "latest"))]);
}
