import { setTimeout as sleep } from "node:timers/promises";
import { backOffMs } from "../../../../core/retry.ts";
import { HEARTBEAT, JOIN_GROUP, LEAVE_GROUP, SYNC_GROUP } from "../wire/apis.ts";
import type { Cluster, TopicInfo } from "../wire/cluster.ts";
import { protocolCodeOf } from "../wire/protocol-errors.ts";
import { type Coordinator, createCoordinator } from "./coordinator.ts";
import { createDealing } from "./dealing.ts";
import { decodeAssignment, encodeSubscription } from "./member-protocol.ts";

/** Under what a member speaks to the coordinator; another one after each rebalance. */
export interface Generation {
  memberId: string;
  id: number;
}

export interface MembershipOptions {
  cluster: Cluster;
  coordinator: Coordinator;
  group: string;
  topic: string;
  /** After this time without a sign of life the coordinator gives a member's partitions to others. */
  sessionTimeoutMs: number;
  /** Partitions that are held now. */
  owned(): readonly number[];
  /** Called with all partitions that are held from now on, of the topic as it is now; those of before that are not among them are lost. */
  onAssigned(partitions: readonly number[], topic: TopicInfo, generation: Generation): Promise<void>;
  /** Called before the partitions are dealt out anew: the time to settle and commit. */
  onRebalance(): Promise<void>;
  /** Called when this member was taken for dead: others read its partitions. */
  onLost(): void;
  onFailure(error: unknown): void;
  onSuccess(): void;
}

/** A member of a consumer group. */
export interface Membership {
  /** Joins, and stays a member until `leave`. */
  start(): void;
  /** Deals the partitions out anew: the topic has changed. */
  rejoin(): void;
  /** Leaves, so that others need not wait for the session to end. */
  leave(): Promise<void>;
}

const PROTOCOL_TYPE = "consumer";
const PROTOCOL = "persistor-sticky";
const REBALANCE_TIMEOUT_MS = 30_000;
const HEARTBEATS_A_SESSION = 4;
const MOST_HEARTBEAT_MS = 3_000;
/** How often the leader looks whether the topics have got more partitions. */
const LOOK_AT_TOPIC_MS = 30_000;
const BACK_OFF = { firstDelayMs: 100, maxDelayMs: 5_000 } as const;
const LEAVE_WITHIN_MS = 3_000;

type Ended = "rebalance" | "lost";

/** Eager rebalancing: all members join anew, and what a member keeps goes on being read meanwhile, as a redelivery does no harm. */
export function createMembership(options: MembershipOptions): Membership {
  const { cluster, coordinator, group, topic, sessionTimeoutMs } = options;
  const joining = createCoordinator(cluster, group, REBALANCE_TIMEOUT_MS + sessionTimeoutMs);
  const dealing = createDealing(cluster, topic);
  const leaving = new AbortController();
  const heartbeatMs = Math.min(MOST_HEARTBEAT_MS, sessionTimeoutMs / HEARTBEATS_A_SESSION);
  let generation: Generation = { memberId: "", id: -1 };
  let isLeader = false;
  let isRejoinAsked = false;
  let wake = new AbortController();
  let running: Promise<void> | undefined;

  const pause = (ms: number) => sleep(ms, undefined, { signal: AbortSignal.any([leaving.signal, wake.signal]) }).catch(() => undefined);

  const join = async (): Promise<void> => {
    isRejoinAsked = false;
    // A group can be made for a topic that does not exist; it is told first.
    await cluster.topic(topic, 0);
    const metadata = encodeSubscription({ topics: [topic], owned: new Map([[topic, options.owned()]]) });
    const joined = await joining
      .ask(
        JOIN_GROUP,
        group,
        sessionTimeoutMs,
        REBALANCE_TIMEOUT_MS,
        generation.memberId,
        null,
        PROTOCOL_TYPE,
        [{ name: PROTOCOL, metadata }],
        null,
      )
      .catch((error: unknown) => {
        const given = (error as { response?: { memberId?: string } }).response?.memberId;
        if (protocolCodeOf(error) === "MEMBER_ID_REQUIRED" && given) generation = { memberId: given, id: -1 };
        throw error;
      });
    generation = { memberId: joined.memberId, id: joined.generationId };
    isLeader = joined.leader === joined.memberId;
    const assignments = isLeader ? await dealing.dealOut(joined.members) : [];
    const known = await cluster.topic(topic, Number.POSITIVE_INFINITY);
    const { assignment } = await joining.ask(
      SYNC_GROUP,
      group,
      generation.id,
      generation.memberId,
      null,
      PROTOCOL_TYPE,
      PROTOCOL,
      assignments,
    );
    await options.onAssigned(decodeAssignment(assignment).get(topic) ?? [], known, generation);
  };

  /** Says that it lives until the partitions are to be dealt out anew, or are lost. */
  const stay = async (): Promise<Ended | undefined> => {
    let lookedAtMs = performance.now();
    for (;;) {
      await pause(heartbeatMs);
      if (leaving.signal.aborted) return undefined;
      if (isRejoinAsked) return "rebalance";
      try {
        await coordinator.ask(HEARTBEAT, group, generation.id, generation.memberId, null);
        options.onSuccess();
        if (isLeader && performance.now() - lookedAtMs >= LOOK_AT_TOPIC_MS) {
          lookedAtMs = performance.now();
          if (await dealing.hasChanged(LOOK_AT_TOPIC_MS / 2)) return "rebalance";
        }
      } catch (error) {
        const code = protocolCodeOf(error);
        if (code === "REBALANCE_IN_PROGRESS") return "rebalance";
        if (code === "ILLEGAL_GENERATION" || code === "UNKNOWN_MEMBER_ID") return "lost";
        options.onFailure(error);
      }
    }
  };

  /** The coordinator waits for a member as long as it hears of it. */
  const livingMeanwhile = async (work: Promise<void>): Promise<void> => {
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
    });
    for (;;) {
      await Promise.race([done, pause(heartbeatMs)]);
      if (isDone || leaving.signal.aborted) return done;
      await coordinator.ask(HEARTBEAT, group, generation.id, generation.memberId, null).catch(() => undefined);
    }
  };

  const run = async (): Promise<void> => {
    for (let failures = 0; !leaving.signal.aborted; ) {
      try {
        await join();
        failures = 0;
        options.onSuccess();
        const ended = await stay();
        if (ended === "rebalance") await livingMeanwhile(options.onRebalance());
        if (ended === "lost") {
          generation = { memberId: "", id: -1 };
          options.onLost();
        }
      } catch (error) {
        if (leaving.signal.aborted) return;
        const code = protocolCodeOf(error);
        if (code === "MEMBER_ID_REQUIRED" || code === "REBALANCE_IN_PROGRESS") continue;
        if (code === "UNKNOWN_MEMBER_ID" || code === "ILLEGAL_GENERATION") {
          generation = { memberId: "", id: -1 };
          continue;
        }
        failures++;
        options.onFailure(error);
        await pause(backOffMs(failures, BACK_OFF));
      }
    }
  };
  return {
    start() {
      running ??= run();
    },
    rejoin() {
      isRejoinAsked = true;
      wake.abort();
      wake = new AbortController();
    },
    async leave() {
      leaving.abort();
      if (!running || generation.memberId === "") return;
      const left = coordinator.ask(LEAVE_GROUP, group, [{ memberId: generation.memberId, groupInstanceId: null, reason: null }]);
      await Promise.race([left.catch(() => undefined), sleep(LEAVE_WITHIN_MS, undefined, { ref: false })]);
    },
  };
}
