import { CloseReason, type SubscriptionEventHandlers } from "@azure/event-hubs";
import { isTaken } from "../errors.ts";
import type { Position } from "../message.ts";
import type { SubscriptionOptions } from "./subscription.ts";

/** The partitions that are owned while this consumer takes part. */
export interface OwnedPartitions {
  readonly handlers: SubscriptionEventHandlers;
  /** Says from where one will be read that was claimed. */
  begin(partition: string, from: Position | undefined): void;
  /** Whether its claim is to be made anew. */
  isGivenUp(partition: string): boolean;
  /** False where there are some, and none can be read. */
  canBeRead(): boolean;
  wereRead(): boolean;
  /** How many can be read. */
  count(): number;
  /** All are lost. */
  end(): void;
}

export function createOwnedPartitions({ onAssigned, onLost, onEvents, onFailure }: SubscriptionOptions): OwnedPartitions {
  const live = new Set<string>();
  /** Owned, and cannot be read. */
  const dead = new Set<string>();
  const froms = new Map<string, Position | undefined>();
  let hasRead = false;
  let isOver = false;
  return {
    handlers: {
      async processInitialize({ partitionId }) {
        if (isOver) return;
        dead.delete(partitionId);
        live.add(partitionId);
        onAssigned(partitionId, froms.get(partitionId));
      },
      async processEvents(events, { partitionId }) {
        if (!live.has(partitionId)) return;
        hasRead = true;
        await onEvents(partitionId, events);
      },
      async processError(error, { partitionId }) {
        if (!isOver && !isTaken(error)) onFailure(error, partitionId || undefined);
      },
      async processClose(reason, { partitionId }) {
        if (!live.delete(partitionId)) return;
        if (reason !== CloseReason.OwnershipLost) dead.add(partitionId);
        onLost(partitionId);
      },
    },
    begin: (partition, from) => void froms.set(partition, from),
    // At the end the SDK gives up all claims that it knows as its own.
    isGivenUp: (partition) => !isOver && dead.has(partition),
    canBeRead: () => dead.size === 0 || live.size > 0,
    wereRead: () => hasRead,
    count: () => live.size,
    end() {
      isOver = true;
      for (const partition of live) onLost(partition);
      live.clear();
    },
  };
}
