import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../../../../core/ports/log.ts";
import { NO_LOG } from "../../../../core/ports/log.ts";
import type { Source } from "../../../../core/ports/source.ts";
import { gather, type Supply } from "../../../support/pulling/gathering.ts";
import { createHealth, type Health } from "../../../support/pulling/health.ts";
import { createWaiters } from "../../../support/pulling/waiters.ts";
import { brokerErrorOf, closedError, isHopeless } from "../errors.ts";
import { createCoordinator } from "../group/coordinator.ts";
import { createMembership, type Generation } from "../group/membership.ts";
import { commitOffsets, type StartAt } from "../group/offsets.ts";
import type { Cluster, TopicInfo } from "../wire/cluster.ts";
import { protocolCodeOf } from "../wire/protocol-errors.ts";
import { createFetching, LEAST_ROOM_BYTES } from "./fetching.ts";
import { createHolding } from "./holding.ts";
import { joined } from "./joined.ts";
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
/** The coordinator takes no commit of this member now: what it has settled is committed after the rebalance, or comes again to whom it belongs. */
const NOT_NOW = new Set(["REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID"]);

/** Reads a topic as a member of a consumer group, which it joins at the first receive. Owns the cluster. */
export function createSource(cluster: Cluster, options: KafkaSourceOptions): Source {
  const { topic, group, log = NO_LOG } = options;
  const waiters = createWaiters();
  const holding = createHolding();
  // Apart, as the coordinator may answer while the partitions' leaders refuse, and the reverse.
  const [member, fetched] = [1, 2].map(() =>
    createHealth({ toleratedFailures: 2, isTransient: (error) => !isHopeless(error), onFailure: waiters.wake }),
  ) as [Health, Health];
  const failure = () => member.failure() ?? fetched.failure();
  const coordinator = createCoordinator(cluster, group, REQUEST_TIMEOUT_MS);
  const starting = createStarting(cluster, coordinator, { ...options, log });
  const closing = new AbortController();
  let info: TopicInfo | undefined;
  let generation: Generation | undefined;
  let isRebalancing = false;

  const assigned = (partition: number, from: number) => new AssignedPartition({ id: options.id, topic, partition }, from);
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
      const from = await starting.offsetInRange(partition.index, partition.position, now);
      if (from >= partition.position) partition.skipTo(from);
      else
        hold(
          now,
          [...holding.partitions.values()].map((each) => (each === partition ? assigned(partition.index, from) : each)),
        );
    },
    onFailure: failing(fetched),
    onSuccess: fetched.succeeded,
  });
  const commit = joined(async () => {
    if (!generation || !info) return;
    const due = [...holding.partitions.values()].filter(({ settledTo, committed }) => settledTo > committed);
    if (due.length === 0) return;
    const offsets = new Map(due.map(({ index, settledTo }) => [index, settledTo]));
    try {
      await commitOffsets(coordinator, group, generation, info, offsets);
      for (const partition of due) partition.committed = offsets.get(partition.index) as number;
    } catch (error) {
      if (!NOT_NOW.has(protocolCodeOf(error) ?? "")) throw brokerErrorOf(error, `committing offsets of group ${group}`);
    }
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
        indexes.map((index) => kept.get(index) ?? assigned(index, from.get(index) as number)),
      );
      log.info("partitions assigned", { topic, group, partitions: indexes });
      await commit.run().catch(failing(member));
    },
    async onRebalance() {
      isRebalancing = true;
      await settled();
      await commit.run().catch(failing(member));
    },
    onLost() {
      isRebalancing = true;
    },
    onFailure: failing(member),
    onSuccess() {
      member.succeeded();
      // A commit that failed is made up for, also where no message comes any more.
      void commit.run().catch(failing(member));
    },
  });
  /** A partition whose records cannot be read holds back its own messages alone. */
  const noteFaults = () => {
    for (const partition of holding.partitions.values()) {
      if (!partition.fault) continue;
      log.error("records cannot be read", {
        topic,
        partition: partition.index,
        offset: partition.position,
        error: partition.fault.message,
      });
      failing(fetched)(brokerErrorOf(partition.fault, `reading partition ${partition.index} of ${topic} at offset ${partition.position}`));
      partition.fault = undefined;
    }
  };
  const supply: Supply = {
    waiters,
    gatherAtMostMs: Number.POSITIVE_INFINITY,
    moveTo(taken) {
      if (isRebalancing) return taken.deliveries.length === 0;
      const before = AHEAD_BYTES - holding.waitingBytes();
      const hasRoom = holding.moveTo(taken);
      noteFaults();
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
      await commit.run();
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
      await Promise.race([commit.run().catch(() => undefined), sleep(CLOSE_WITHIN_MS, undefined, { ref: false })]);
      closing.abort();
      waiters.wake();
      await membership.leave();
      await fetching.stop();
      holding.replace([]);
      await cluster.close();
    },
  };
}

const CLOSE_WITHIN_MS = 5_000;
