import { setTimeout as sleep } from "node:timers/promises";
import { type Log, NO_LOG } from "../../../../core/ports/log.ts";
import type { Source } from "../../../../core/ports/source.ts";
import { gather, type Supply } from "../../../support/pulling/gathering.ts";
import { createHealth, type Health } from "../../../support/pulling/health.ts";
import { createHolding } from "../../../support/pulling/holding.ts";
import { createWaiters } from "../../../support/pulling/waiters.ts";
import { brokerErrorOf, closedError, isHopeless } from "../errors.ts";
import { createCoordinator } from "../group/coordinator.ts";
import { createMembership, type Generation } from "../group/membership.ts";
import type { Committed, StartAt } from "../group/offsets.ts";
import type { Cluster, TopicInfo } from "../wire/cluster.ts";
import { createCommitting } from "./committing.ts";
import { createFaults } from "./faults.ts";
import { createFetching, LEAST_ROOM_BYTES } from "./fetching.ts";
import { AssignedPartition } from "./partition.ts";
import { createStarting } from "./starting.ts";

export interface KafkaSourceOptions {
  /** Becomes `brokerId` of the messages. */
  id: string;
  topic: string;
  group: string;
  start: StartAt;
  /** Leaves out what transactions aborted. */
  isReadCommitted: boolean;
  sessionTimeoutMs: number;
  log?: Log;
}

/** Bound of what is fetched and not handed over; a larger one takes memory and gives no speed. */
const AHEAD_BYTES = 4_000_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** How long a rebalance waits for what is handed over to be settled; what is not comes again, here or to another consumer. */
const SETTLE_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 20;
/** The first assignment is not counted as waiting for messages, for this long. */
const JOIN_WITHIN_MS = 45_000;
const CLOSE_WITHIN_MS = 5_000;

/** Reads a topic as a member of a consumer group, which it joins at the first receive. Owns the cluster. */
export function createSource(cluster: Cluster, options: KafkaSourceOptions): Source {
  const { topic, group, log = NO_LOG } = options;
  const waiters = createWaiters();
  const holding = createHolding<AssignedPartition>();
  // Apart, as the coordinator may answer while the partitions' leaders refuse, and the reverse.
  const [member, fetched] = [1, 2].map(() =>
    createHealth({ toleratedFailures: 2, isTransient: (error) => !isHopeless(error), onFailure: waiters.wake }),
  ) as [Health, Health];
  const faults = createFaults(topic, log);
  const failure = () => member.failure() ?? fetched.failure() ?? faults.failure(holding.partitions.values());
  const coordinator = createCoordinator(cluster, group, REQUEST_TIMEOUT_MS);
  const starting = createStarting(cluster, coordinator, { ...options, log });
  const closing = new AbortController();
  let info: TopicInfo | undefined;
  let generation: Generation | undefined;
  let isRebalancing = false;

  const assigned = (partition: number, from: Committed) => new AssignedPartition({ id: options.id, topic, partition }, from);
  const hold = (now: TopicInfo, partitions: readonly AssignedPartition[]) => {
    holding.replace(partitions);
    fetching.assign(now, partitions);
    waiters.wake();
  };
  const failing = (health: Health) => (error: unknown) => {
    if (!closing.signal.aborted) health.failed(error);
  };
  const fetching = createFetching({
    cluster,
    isolationLevel: options.isReadCommitted ? 1 : 0,
    room: () => AHEAD_BYTES - holding.waitingBytes(),
    waitForRoom: (signal) => waiters.wait(LOOK_EVERY_MS, signal),
    onFetched: waiters.wake,
    onTopicReplaced() {
      // What is held of the old one is nobody's any more.
      holding.replace([]);
      membership.rejoin();
    },
    async onOutOfRange(partition) {
      const now = info as TopicInfo;
      const offset = await starting.offsetInRange(partition.index, partition.position, now);
      if (offset === partition.position) return partition.fail(new Error("the offset is out of range, although the log reaches to it"));
      if (offset > partition.position) return partition.skipTo(offset);
      const again = assigned(partition.index, { offset, note: partition.note });
      hold(
        now,
        [...holding.partitions.values()].map((each) => (each === partition ? again : each)),
      );
    },
    onFailure: failing(fetched),
    onSuccess: fetched.succeeded,
  });
  const commit = createCommitting({
    coordinator,
    group,
    topic,
    generation: () => generation,
    partitions: () => holding.partitions.values(),
  });
  const settled = async () => {
    const endMs = performance.now() + SETTLE_WITHIN_MS;
    while (holding.outCount() > 0 && performance.now() < endMs && !closing.signal.aborted)
      await waiters.wait(LOOK_EVERY_MS, closing.signal);
  };
  const membership = createMembership({
    cluster,
    coordinator,
    group,
    topic,
    sessionTimeoutMs: options.sessionTimeoutMs,
    owned: () => [...holding.partitions.keys()],
    async onAssigned(indexes, now, as) {
      const held = info && info.id === now.id ? indexes.flatMap((index) => holding.partitions.get(index) ?? []) : [];
      // Who was taken for dead comes back under another id; its partitions were others' meanwhile.
      const isBack = generation !== undefined && generation.memberId !== as.memberId;
      const overtaken = isBack ? await starting.overtaken(held, now) : new Set<AssignedPartition>();
      const kept = new Map(held.filter((partition) => !overtaken.has(partition)).map((partition) => [partition.index, partition]));
      const gained = indexes.filter((index) => !kept.has(index));
      const isReplaced = info !== undefined && info.id !== now.id;
      const from = await starting.offsetsOf(gained, now, as, isReplaced);
      info = now;
      generation = as;
      isRebalancing = false;
      hold(
        now,
        indexes.map((index) => kept.get(index) ?? assigned(index, from.get(index) as Committed)),
      );
      log.info("partitions assigned", { topic, group, partitions: indexes });
      await commit().catch(failing(member));
    },
    async onRebalance() {
      isRebalancing = true;
      await settled();
      await commit().catch(failing(member));
    },
    onLost() {
      isRebalancing = true;
    },
    onFailure: failing(member),
    onSuccess() {
      member.succeeded();
      // A commit that failed is made up for, also where no message comes any more.
      void commit().catch(failing(member));
    },
  });
  const supply: Supply = {
    waiters,
    gatherAtMostMs: Number.POSITIVE_INFINITY,
    moveTo(taken) {
      if (isRebalancing) return taken.deliveries.length === 0;
      const before = AHEAD_BYTES - holding.waitingBytes();
      const hasRoom = holding.moveTo(taken);
      faults.tell(holding.partitions.values());
      if (before < LEAST_ROOM_BYTES) waiters.wake();
      return hasRoom;
    },
    nextLookMs: holding.nextLookMs,
    failure,
    errorOf: ({ error }) => brokerErrorOf(error, `receiving from ${topic} as group ${group}`),
    isClosed: () => closing.signal.aborted,
  };
  return {
    async receive(receive) {
      if (closing.signal.aborted) throw closedError();
      membership.start();
      const { signal } = receive;
      const endMs = performance.now() + JOIN_WITHIN_MS;
      while (!info && !signal?.aborted && !closing.signal.aborted && !failure() && performance.now() < endMs) {
        await waiters.wait(LOOK_EVERY_MS, signal);
      }
      if (receive.maxMessages <= 0) return [];
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
      await membership.leave();
      await fetching.stop();
      holding.replace([]);
      await cluster.close();
    },
  };
}
