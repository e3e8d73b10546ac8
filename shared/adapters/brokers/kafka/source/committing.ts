import { joined } from "../../../support/pulling/joined.ts";
import { brokerErrorOf } from "../errors.ts";
import type { Coordinator } from "../group/coordinator.ts";
import type { Generation } from "../group/membership.ts";
import { commitOffsets } from "../group/offsets.ts";
import { protocolCodeOf } from "../wire/protocol-errors.ts";
import type { AssignedPartition } from "./partition.ts";

export interface CommittingOptions {
  coordinator: Coordinator;
  group: string;
  topic: string;
  /** Undefined before the first assignment. */
  generation(): Generation | undefined;
  partitions(): Iterable<AssignedPartition>;
}

/** The coordinator takes no commit of this member now: what it has settled is committed after the rebalance, or comes again to whom it belongs. */
const NOT_NOW = new Set(["REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID"]);

/**
 * Returns what commits all that is settled. Calls while one is under way share the next; each resolves with one that began after it.
 * That throws BrokerError.
 */
export function createCommitting({ coordinator, group, topic, generation, partitions }: CommittingOptions): () => Promise<void> {
  return joined(async () => {
    const as = generation();
    const due = [...partitions()].filter(({ settledTo, committed }) => settledTo > committed);
    if (!as || due.length === 0) return;
    const offsets = new Map(due.map(({ index, settledTo, note }) => [index, { offset: settledTo, note }]));
    try {
      await commitOffsets(coordinator, group, as, topic, offsets);
      for (const partition of due) partition.committed = offsets.get(partition.index)?.offset as number;
    } catch (error) {
      if (!NOT_NOW.has(protocolCodeOf(error) ?? "")) throw brokerErrorOf(error, `committing offsets of group ${group}`);
    }
  });
}
