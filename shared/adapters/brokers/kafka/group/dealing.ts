import type { Cluster, TopicInfo } from "../wire/cluster.ts";
import { protocolCodeOf } from "../wire/protocol-errors.ts";
import { assign } from "./assignment.ts";
import { decodeSubscription, encodeAssignment } from "./member-protocol.ts";

/** What the leader of a group does for all members, which may read different topics. */
export interface Dealing {
  /** Deals each topic out to those who read it. Throws the client's errors. */
  dealOut(members: readonly { memberId: string; metadata: Buffer }[]): Promise<{ memberId: string; assignment: Buffer }[]>;
  /** Whether a topic is another than it was dealt out, or has more partitions. Throws the client's errors. */
  hasChanged(maxAgeMs: number): Promise<boolean>;
}

/** `topic` is the leader's own. */
export function createDealing(cluster: Cluster, topic: string): Dealing {
  let dealt: TopicInfo[] = [];
  /** Undefined where another member's topic is missing: its readers are told by themselves. */
  const topicOf = (name: string, maxAgeMs: number): Promise<TopicInfo | undefined> =>
    cluster.topic(name, maxAgeMs).catch((error: unknown) => {
      if (name === topic || protocolCodeOf(error) === undefined) throw error;
      return undefined;
    });
  return {
    async dealOut(members) {
      const all = members.map(({ memberId, metadata }) => ({
        memberId,
        ...decodeSubscription(metadata),
        assigned: new Map<string, number[]>(),
      }));
      dealt = [];
      for (const name of new Set(all.flatMap(({ topics }) => topics))) {
        const info = await topicOf(name, 0);
        if (!info) continue;
        dealt.push(info);
        const readers = all.filter(({ topics }) => topics.includes(name));
        const members = readers.map(({ memberId, owned }) => ({ id: memberId, owned: owned.get(name) ?? [] }));
        const partitions = assign(members, info.leaders.length);
        for (const { memberId, assigned } of readers) assigned.set(name, partitions.get(memberId) as number[]);
      }
      return all.map(({ memberId, assigned }) => ({ memberId, assignment: encodeAssignment(assigned) }));
    },
    async hasChanged(maxAgeMs) {
      for (const { name, id, leaders } of dealt) {
        const now = await topicOf(name, maxAgeMs);
        if (now?.id !== id || now.leaders.length !== leaders.length) return true;
      }
      return false;
    },
  };
}
