import { setTimeout as sleep } from "node:timers/promises";
import { backOffMs } from "../../../../core/retry.ts";
import type { Cluster, TopicInfo } from "../wire/cluster.ts";
import type { Connections } from "../wire/connections.ts";
import { FETCH_KEY, type FetchedPartition, fetchFrom, fetchVersions } from "../wire/fetch.ts";
import { protocolErrorOf } from "../wire/protocol-errors.ts";
import type { AssignedPartition } from "./partition.ts";

export interface FetchingOptions {
  cluster: Cluster;
  isolationLevel: 0 | 1;
  /** Bytes that may be fetched now without holding too much. */
  room(): number;
  /** Resolves when there may be room again, or `signal` aborts. */
  waitForRoom(signal: AbortSignal): Promise<void>;
  onFetched(): void;
  /** The topic was deleted and made again under its name. */
  onTopicReplaced(): void;
  /** What was asked for is not in the log: it was deleted, or never written. */
  onOutOfRange(partition: AssignedPartition): Promise<void>;
  onFailure(error: unknown): void;
  onSuccess(): void;
}

/** Fetches the assigned partitions, from each broker by one request after the other. */
export interface Fetching {
  /** Fetches these from now on, and nothing else. */
  assign(topic: TopicInfo, partitions: readonly AssignedPartition[]): void;
  /** Resolves when nothing more comes. */
  stop(): Promise<void>;
}

const LONGEST_WAIT_MS = 500;
const MAX_REQUEST_BYTES = 1_000_000;
const MAX_PARTITION_BYTES = 500_000;
/** A smaller answer is not worth a request. */
export const LEAST_ROOM_BYTES = 500_000;
const BACK_OFF = { firstDelayMs: 100, maxDelayMs: 5_000 } as const;
const TOPIC_MAX_AGE_MS = 300_000;
/** The leader has moved, or the topic has gone: its place is looked up again, which is no failure by itself. */
const MOVED = new Set([
  "UNKNOWN_TOPIC_ID",
  "UNKNOWN_TOPIC_OR_PARTITION",
  "INCONSISTENT_TOPIC_ID",
  "NOT_LEADER_OR_FOLLOWER",
  "LEADER_NOT_AVAILABLE",
  "FENCED_LEADER_EPOCH",
  "UNKNOWN_LEADER_EPOCH",
]);

export function createFetching(options: FetchingOptions): Fetching {
  const { cluster } = options;
  const connections = cluster.connections({ requestTimeout: 30_000 });
  let running: AbortController | undefined;
  // A loop that was told to end still waits for its broker's answer, and throws it away.
  const loops = new Set<Promise<void>>();
  return {
    assign(topic, partitions) {
      running?.abort();
      if (partitions.length === 0) return;
      running = new AbortController();
      const loop = fetchAll(topic, partitions, running.signal, connections, options).finally(() => loops.delete(loop));
      loops.add(loop);
    },
    async stop() {
      running?.abort();
      await connections.close();
      await Promise.all(loops);
    },
  };
}

/** Starts a loop for each leader; when one of them finds that leaders have moved, all start again. */
async function fetchAll(
  topic: TopicInfo,
  partitions: readonly AssignedPartition[],
  signal: AbortSignal,
  connections: Connections,
  options: FetchingOptions,
): Promise<void> {
  for (let failures = 0; !signal.aborted; ) {
    try {
      const now = await options.cluster.topic(topic.name, failures > 0 ? 0 : TOPIC_MAX_AGE_MS);
      if (now.id !== topic.id) return options.onTopicReplaced();
      const round = new AbortController();
      const both = AbortSignal.any([signal, round.signal]);
      const byLeader = Map.groupBy(partitions, ({ index }) => now.leaders[index] ?? -1);
      const loops = [...byLeader].map(async ([leader, led]) => {
        try {
          await fetchLoop(leader, led, topic, both, connections, options, () => {
            failures = 0;
          });
        } finally {
          round.abort();
        }
      });
      const ended = await Promise.allSettled(loops);
      for (const loop of ended) if (loop.status === "rejected") throw loop.reason;
    } catch (error) {
      if (signal.aborted) return;
      failures++;
      // Whether the topic is gone or its place is, the next look at the cluster tells.
      if (!(error instanceof LeaderMoved) || failures > 3) options.onFailure(error);
      await sleep(backOffMs(failures, BACK_OFF), undefined, { signal }).catch(() => undefined);
    }
  }
}

class LeaderMoved extends Error {}

async function fetchLoop(
  leader: number,
  led: readonly AssignedPartition[],
  topic: TopicInfo,
  signal: AbortSignal,
  connections: Connections,
  options: FetchingOptions,
  succeeded: () => void,
): Promise<void> {
  const broker = await options.cluster.broker(leader);
  const turn = [...led];
  while (!signal.aborted) {
    const room = options.room();
    if (room < LEAST_ROOM_BYTES) {
      await options.waitForRoom(signal);
      continue;
    }
    const nowMs = performance.now();
    const due = turn.filter(({ fetchAtMs }) => fetchAtMs <= nowMs);
    if (due.length === 0) {
      await options.waitForRoom(signal);
      continue;
    }
    const maxBytes = Math.min(MAX_REQUEST_BYTES, room);
    const asked = due.map((partition) => ({ partition: partition.index, offset: partition.position, maxBytes: MAX_PARTITION_BYTES }));
    const from = new Map(due.map((partition) => [partition.index, { partition, offset: partition.position }]));
    const request = {
      topic: topic.name,
      topicId: topic.id,
      partitions: asked,
      maxWaitMs: LONGEST_WAIT_MS,
      maxBytes,
      isolationLevel: options.isolationLevel,
    };
    const answer = await connections.call(broker, FETCH_KEY, fetchVersions(topic.id), (connection, version) =>
      fetchFrom(connection, version, request),
    );
    if (signal.aborted) return;
    if (answer.errorCode !== 0) throw protocolErrorOf(answer.errorCode);
    for (const fetched of answer.partitions) {
      const target = from.get(fetched.partition);
      if (target) await take(target.partition, target.offset, fetched, options);
      // Who gave something comes last the next time: an answer may be full before the others' turn.
      if (target && fetched.records.length > 0) turn.push(...turn.splice(turn.indexOf(target.partition), 1));
    }
    succeeded();
    options.onSuccess();
    if (answer.partitions.some(({ records }) => records.length > 0)) options.onFetched();
    if (answer.throttleMs > 0) await sleep(answer.throttleMs, undefined, { signal }).catch(() => undefined);
  }
}

async function take(partition: AssignedPartition, offset: number, fetched: FetchedPartition, options: FetchingOptions): Promise<void> {
  if (!partition.isHeld || partition.position !== offset) return;
  if (fetched.errorCode === 0) return addTo(partition, fetched);
  const error = protocolErrorOf(fetched.errorCode);
  if (error.apiId === "OFFSET_OUT_OF_RANGE") return options.onOutOfRange(partition);
  if (MOVED.has(error.apiId)) throw new LeaderMoved(error.message, { cause: error });
  throw error;
}

/** A batch that was damaged holds back its own partition alone. */
function addTo(partition: AssignedPartition, fetched: FetchedPartition): void {
  try {
    partition.add(fetched);
  } catch (error) {
    // What came before it was added, and is not fetched again.
    if (partition.waitingBytes === 0) partition.fail(error as Error);
  }
}
