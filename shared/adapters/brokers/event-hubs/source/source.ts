import { setTimeout as sleep } from "node:timers/promises";
import type { ReceivedEventData } from "@azure/event-hubs";
import { BrokerError } from "../../../../core/errors.ts";
import { contentSize } from "../../../../core/message.ts";
import type { Log } from "../../../../core/ports/log.ts";
import type { Source } from "../../../../core/ports/source.ts";
import { rawMessageOf } from "../../../support/amqp/raw-messages.ts";
import { gather, type Supply } from "../../../support/pulling/gathering.ts";
import { createHealth, type Health } from "../../../support/pulling/health.ts";
import { createHolding } from "../../../support/pulling/holding.ts";
import { joined } from "../../../support/pulling/joined.ts";
import { createWaiters } from "../../../support/pulling/waiters.ts";
import { limitAhead, MAX_AHEAD } from "../credit.ts";
import { brokerErrorOf, closedError, isHopeless } from "../errors.ts";
import { messageOf, type Origin } from "../message.ts";
import type { Checkpoints, GroupName } from "./checkpoints.ts";
import { type Arrived, type AssignedPartition, createPartition } from "./partition.ts";
import type { Starting } from "./starting.ts";
import { createSubscription, type SubscriptionOptions } from "./subscription.ts";

export interface EventHubsSourceOptions {
  /** Becomes `brokerId` of the messages. */
  id: string;
  topic: string;
  group: string;
  connect: SubscriptionOptions["connect"];
  checkpoints: Checkpoints;
  starting: Starting;
  log: Log;
}

/** Bound of what has arrived and is not handed over, of all partitions; behind it the SDK holds as much again, and MAX_AHEAD messages at most. */
const AHEAD_BYTES = 8_000_000;
/** Before it is known how large the messages of a partition are. */
const FIRST_AHEAD = 16;
const LEAST_AHEAD = 2;
/** The first distribution of partitions is not counted as waiting for messages, unless none comes for this long. */
const JOIN_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 20;
const CLOSE_WITHIN_MS = 5_000;

/** Reads an event hub as a consumer of a group, which it becomes at the first receive. */
export function createSource({ id, topic, group, connect, checkpoints, starting, log }: EventHubsSourceOptions): Source {
  const waiters = createWaiters();
  const holding = createHolding<AssignedPartition>();
  // Apart, as the storage may answer while the partitions do not, and the reverse.
  const [balancing, reading] = [1, 2].map(() =>
    createHealth({ toleratedFailures: 1, isTransient: (error) => !isHopeless(error), onFailure: waiters.wake }),
  ) as [Health, Health];
  const failure = () => balancing.failure() ?? reading.failure();
  const closing = new AbortController();
  let groupName: GroupName | undefined;
  let hasJoined = false;
  let isDistributed = false;
  let joiningMs = 0;

  const replace = (partitions: readonly AssignedPartition[]) => {
    holding.replace(partitions);
    waiters.wake();
  };
  const without = (partition: string) => [...holding.partitions.values()].filter(({ index }) => index !== partition);
  /** Of each partition. */
  const share = (whole: number) => Math.floor(whole / Math.max(1, holding.partitions.size));
  const commit = joined(async () => {
    const due = [...holding.partitions.values()].filter((partition) => partition.settledTo() !== partition.checkpoint);
    await Promise.all(
      due.map(async (partition) => {
        const position = partition.settledTo();
        if (!position || !groupName) return;
        await checkpoints.write(groupName, partition.index, position);
        partition.checkpoint = position;
      }),
    );
  });
  const subscription = createSubscription({
    connect(store, options) {
      const client = connect(store, options);
      groupName = { fullyQualifiedNamespace: client.fullyQualifiedNamespace, eventHubName: client.eventHubName, consumerGroup: group };
      return client;
    },
    checkpoints,
    starting,
    onAssigned(partition, from) {
      hasJoined = true;
      joiningMs = performance.now();
      limitAhead({ hub: topic, group, partition }, FIRST_AHEAD);
      log.info("partition assigned", { topic, group, partition });
      replace([...without(partition), createPartition(partition, from)]);
    },
    onLost: (partition) => replace(without(partition)),
    async onEvents(partition, events) {
      reading.succeeded();
      const assigned = holding.partitions.get(partition);
      if (!assigned) return;
      const arrived = events.map((event) => arrivedOf(event, { id, topic, partition }));
      const lost = assigned.add(arrived);
      if (lost > 0)
        log.error("messages were deleted by the event hub's retention before they were read", { topic, group, partition, lost });
      if (arrived.length > 0) {
        limitAhead(
          { hub: topic, group, partition },
          Math.max(LEAST_AHEAD, Math.min(share(MAX_AHEAD), countOf(arrived, share(AHEAD_BYTES)))),
        );
        waiters.wake();
      }
      while (assigned.isHeld && assigned.waitingBytes >= share(AHEAD_BYTES)) await waiters.wait(LOOK_EVERY_MS, closing.signal);
    },
    onFailure(error, partition) {
      if (!closing.signal.aborted) (partition === undefined ? balancing : reading).failed(error);
    },
    onWhole() {
      isDistributed = true;
    },
    onBalanced() {
      hasJoined = true;
      isDistributed = true;
      balancing.succeeded();
      if (holding.partitions.size === 0) reading.succeeded();
      // A commit that failed is made up for, also where no message comes any more.
      void commit().catch((error: unknown) => balancing.failed(error));
    },
  });
  const supply: Supply = {
    waiters,
    gatherAtMostMs: Number.POSITIVE_INFINITY,
    moveTo: holding.moveTo,
    nextLookMs: holding.nextLookMs,
    failure,
    errorOf: ({ error }) => brokerErrorOf(error, `receiving from ${topic} as group ${group}`),
    isClosed: () => closing.signal.aborted,
  };
  return {
    async receive(receive) {
      if (closing.signal.aborted) throw closedError();
      subscription.start();
      const { signal } = receive;
      const takesNothing = receive.maxMessages <= 0;
      joiningMs = performance.now();
      // One partition after the other is assigned. Whoever takes nothing wants to know that all are there.
      const isWaiting = () => !(takesNothing ? isDistributed : hasJoined) && performance.now() - joiningMs < JOIN_WITHIN_MS;
      while (isWaiting() && !signal?.aborted && !closing.signal.aborted && !failure()) await waiters.wait(LOOK_EVERY_MS, signal);
      if (takesNothing) return [];
      return gather(supply, receive);
    },
    async acknowledge(deliveries) {
      if (closing.signal.aborted) throw closedError();
      const count = holding.settle(deliveries);
      waiters.wake();
      await commit();
      return count;
    },
    async release(deliveries, delayMs) {
      holding.release(deliveries, delayMs);
      waiters.wake();
    },
    async extend(deliveries, leaseMs) {
      holding.extend(deliveries, leaseMs);
    },
    async close() {
      if (closing.signal.aborted) return;
      await Promise.race([commit().catch(() => undefined), sleep(CLOSE_WITHIN_MS, undefined, { ref: false })]);
      closing.abort();
      waiters.wake();
      await subscription.close();
      holding.replace([]);
    },
  };
}

function arrivedOf(event: ReceivedEventData, origin: Origin): Arrived {
  const raw = rawMessageOf(event.getRawAmqpMessage().messageAnnotations);
  if (!raw) {
    throw new BrokerError(
      "unsupported",
      `receiving from ${origin.topic}: the library of Event Hubs does not show the bytes of its messages`,
    );
  }
  const position = { offset: String(event.offset), sequenceNumber: Number(event.sequenceNumber) };
  return { message: messageOf(raw, position, origin), position };
}

/** How many messages like these are `bytes` together. */
function countOf(arrived: readonly Arrived[], bytes: number): number {
  const sum = arrived.reduce((all, { message }) => all + contentSize(message), 0);
  return Math.floor((bytes * arrived.length) / Math.max(1, sum));
}
