import { setTimeout as sleep } from "node:timers/promises";
import type {
  CheckpointStore,
  EventHubConsumerClient,
  EventHubConsumerClientOptions,
  PartitionOwnership,
  ReceivedEventData,
} from "@azure/event-hubs";
import { backOffMs } from "../../../../core/retry.ts";
import { MAX_AHEAD } from "../credit.ts";
import type { Position } from "../message.ts";
import type { Checkpoints } from "./checkpoints.ts";
import { createOwnedPartitions } from "./owned-partitions.ts";
import type { Starting } from "./starting.ts";

export interface SubscriptionOptions {
  connect(store: CheckpointStore, options: EventHubConsumerClientOptions): EventHubConsumerClient;
  checkpoints: Checkpoints;
  starting: Starting;
  /** `from`: the event behind which the partition is read. */
  onAssigned(partition: string, from: Position | undefined): void;
  /** The partition is not ours any more, or not read for now. */
  onLost(partition: string): void;
  /** Resolves once more may come. Called without events now and then, where there are none. */
  onEvents(partition: string, events: readonly ReceivedEventData[]): Promise<void>;
  /** `partition`: undefined where it is about their distribution. */
  onFailure(error: unknown, partition: string | undefined): void;
  /** All partitions are ours. */
  onWhole(): void;
  /** Partitions were distributed among the consumers. */
  onBalanced(): void;
}

/** This consumer's part in its group: partitions come and go. */
export interface Subscription {
  /** Does nothing where it was started. */
  start(): void;
  /** Gives up all partitions. */
  close(): Promise<void>;
}

const BALANCING = { strategy: "greedy", updateIntervalInMs: 3_000, partitionOwnershipExpirationIntervalInMs: 15_000 } as const;
/** The SDK's own call at the head of each round may wait for minutes when the connection was lost. */
const STALLED_AFTER_MS = 15_000;
/** So long a lost connection goes unnoticed where nothing comes. */
const MAX_WAIT_S = 1;
const CLOSE_WITHIN_MS = 5_000;
const LOOK_EVERY_MS = 200;
const BACK_OFF = { firstDelayMs: 500, maxDelayMs: 5_000 } as const;

export function createSubscription(options: SubscriptionOptions): Subscription {
  const closing = new AbortController();
  let running: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    for (let failures = 1; !closing.signal.aborted; failures++) {
      try {
        const hasRead = await takePart(options, closing.signal);
        if (hasRead) failures = 1;
      } catch (error) {
        options.onFailure(error, undefined);
      }
      await sleep(backOffMs(failures, BACK_OFF), undefined, { signal: closing.signal }).catch(() => undefined);
    }
  };
  return {
    start() {
      running ??= run();
    },
    async close() {
      closing.abort();
      await running;
    },
  };
}

/**
 * Owns and reads partitions until `signal` aborts, until none of those that it owned can be read any more, or until the SDK stalls. Returns whether it
 * could read any. Throws where it could not begin.
 */
async function takePart(options: SubscriptionOptions, signal: AbortSignal): Promise<boolean> {
  const { starting } = options;
  let partitionCount = Number.POSITIVE_INFINITY;
  const partitions = createOwnedPartitions({
    ...options,
    onAssigned(partition, from) {
      options.onAssigned(partition, from);
      if (partitions.count() >= partitionCount) options.onWhole();
    },
  });
  let goesOnMs = performance.now();
  const store = storeOf(options, {
    client: () => client,
    isGivenUp: partitions.isGivenUp,
    onRequest() {
      goesOnMs = performance.now();
    },
    onPosition: partitions.begin,
  });
  const client = options.connect(store, { loadBalancingOptions: BALANCING });
  try {
    partitionCount = await starting.prepare(client);
    goesOnMs = performance.now();
    client.subscribe(partitions.handlers, {
      maxBatchSize: MAX_AHEAD,
      prefetchCount: MAX_AHEAD,
      maxWaitTimeInSeconds: MAX_WAIT_S,
      startPosition: starting.otherwise(),
      skipParsingBodyAsJson: true,
    });
    const isAlive = () => performance.now() - goesOnMs < STALLED_AFTER_MS && partitions.canBeRead();
    while (!signal.aborted && isAlive()) await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
    return partitions.wereRead();
  } finally {
    partitions.end();
    await Promise.race([client.close().catch(() => undefined), sleep(CLOSE_WITHIN_MS, undefined, { ref: false })]);
  }
}

interface StoreHooks {
  client(): EventHubConsumerClient;
  isGivenUp(partition: string): boolean;
  /** A round of the SDK goes on: with many partitions one takes its time. */
  onRequest(): void;
  onPosition(partition: string, from: Position | undefined): void;
}

/** What the SDK reads and writes of the group. */
function storeOf({ checkpoints, starting, onBalanced }: SubscriptionOptions, hooks: StoreHooks): CheckpointStore {
  let rounds = 0;
  let claimed = "";
  return {
    async listOwnership(fullyQualifiedNamespace, eventHubName, consumerGroup) {
      hooks.onRequest();
      const all = await checkpoints.listOwnership({ fullyQualifiedNamespace, eventHubName, consumerGroup });
      if (rounds++ > 0) onBalanced();
      // The SDK waits until its claim of a partition that it stopped to read is too old; given up, it is claimed anew at once.
      const isOurs = ({ ownerId }: PartitionOwnership) => ownerId === hooks.client().identifier;
      return all.map((each) => (isOurs(each) && hooks.isGivenUp(each.partitionId) ? { ...each, ownerId: "" } : each));
    },
    claimOwnership(ownerships) {
      hooks.onRequest();
      claimed = ownerships[0]?.partitionId ?? "";
      return checkpoints.claimOwnership(ownerships);
    },
    /** Asked for once after each claim, for the partition that was claimed. */
    async listCheckpoints(fullyQualifiedNamespace, eventHubName, consumerGroup) {
      hooks.onRequest();
      const partitionId = claimed;
      const position = await starting.positionOf(hooks.client(), partitionId);
      hooks.onPosition(partitionId, position);
      return position ? [{ fullyQualifiedNamespace, eventHubName, consumerGroup, partitionId, ...position }] : [];
    },
    updateCheckpoint: ({ partitionId, offset, sequenceNumber, ...group }) =>
      checkpoints.write(group, partitionId, { offset, sequenceNumber }),
  };
}
