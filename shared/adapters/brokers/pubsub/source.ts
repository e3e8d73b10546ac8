import type { Delivery, Source } from "../../../core/ports/source.ts";
import type { SourceSettings } from "../../registry.ts";
import { gather, type Supply } from "../../support/pulling/gathering.ts";
import { createWaiters } from "../../support/pulling/waiters.ts";
import type { Connection } from "./connection.ts";
import { deliveryOf } from "./decoding.ts";
import { brokerErrorOf, closedError } from "./errors.ts";
import { createHeld, type Held } from "./held.ts";
import type { PullRequestFields } from "./methods.ts";
import { pathOf } from "./names.ts";
import { createSettling, type Settling } from "./settling.ts";
import { createStreams, STREAMS, type Streams } from "./streams.ts";

/** Bounds of what a source has been sent and nobody has settled: held here, or handed over. */
const OUTSTANDING_MESSAGES = 16_000;
const OUTSTANDING_BYTES = 48_000_000;
const LEASE_SECONDS = 60;
/** A quarter of a lease: the rest is for what comes after gathering. */
const GATHER_AT_MOST_MS = 15_000;
/** How often the leases of what is held are prolonged, and how long after the last receive it is given back. */
const LOOK_AFTER_HELD_MS = 10_000;

const STREAM_REQUEST: PullRequestFields = {
  streamAckDeadlineSeconds: LEASE_SECONDS,
  maxOutstandingMessages: OUTSTANDING_MESSAGES / STREAMS,
  maxOutstandingBytes: OUTSTANDING_BYTES / STREAMS,
};

/** Reads a subscription by streams, which open at the first receive. Owns the connection. */
export function createSource(connection: Connection, settings: SourceSettings): Source {
  const subscription = () => pathOf("subscriptions", settings.subscription, connection.projectId);
  const settling = createSettling(connection, subscription);
  const held = createHeld();
  const waiters = createWaiters();
  let isClosed = false;
  // Pub/Sub keeps to the bounds by itself; where a server does not, reading stops.
  const bound = () => streams.setPaused(held.count >= OUTSTANDING_MESSAGES || held.bytes >= OUTSTANDING_BYTES);
  const streams = createStreams({
    async open() {
      const path = await subscription();
      const stream = await connection.openStream(path);
      stream.write({ ...STREAM_REQUEST, subscription: path });
      return stream;
    },
    onDeliveries(received) {
      for (const each of received) held.add(deliveryOf(each, settings));
      bound();
      waiters.wake();
    },
    onFailure: waiters.wake,
  });
  const keeping = createKeeping(held, streams, settling);
  const { health } = streams;
  const doing = { what: `receiving from ${settings.subscription}`, role: "roles/pubsub.subscriber" } as const;
  const supply: Supply = {
    waiters,
    gatherAtMostMs: GATHER_AT_MOST_MS,
    moveTo(taken) {
      const hasRoom = held.moveTo(taken);
      bound();
      return hasRoom;
    },
    nextLookMs: () => Number.POSITIVE_INFINITY,
    failure: () => health.failure(),
    errorOf: ({ error }) => brokerErrorOf(error, doing),
    isClosed: () => isClosed,
  };
  return {
    async receive(options) {
      if (isClosed) throw closedError();
      if (options.signal?.aborted || options.maxMessages <= 0) return [];
      return keeping.during(() => gather(supply, options));
    },
    acknowledge: (deliveries) => settling.acknowledge(ackIdsOf(deliveries)),
    release: (deliveries, delayMs) => settling.endLeasesIn(delayMs, ackIdsOf(deliveries)),
    extend: (deliveries, leaseMs) => settling.endLeasesIn(Math.max(1, leaseMs), ackIdsOf(deliveries)),
    async close() {
      if (isClosed) return;
      isClosed = true;
      waiters.wake();
      await keeping.letGo();
      await connection.close();
    },
  };
}

/** Keeps the streams open and the leases of what is held while receives come, and gives all back when they stop. */
function createKeeping(held: Held, streams: Streams, settling: Settling) {
  let receiving = 0;
  let receivedAtMs = 0;
  let looking: NodeJS.Timeout | undefined;
  const letGo = async (): Promise<void> => {
    clearInterval(looking);
    looking = undefined;
    await streams.stop();
    // What cannot be given back now comes again when its lease ends.
    await settling.endLeasesIn(0, held.clear()).catch(() => undefined);
  };
  const look = () => {
    if (receiving === 0 && performance.now() - receivedAtMs >= LOOK_AFTER_HELD_MS) void letGo();
    else void settling.endLeasesIn(LEASE_SECONDS * 1000, held.ackIds()).catch(() => undefined);
  };
  return {
    letGo,
    async during<T>(work: () => Promise<T>): Promise<T> {
      receiving++;
      looking ??= setInterval(look, LOOK_AFTER_HELD_MS);
      streams.start();
      try {
        return await work();
      } finally {
        receiving--;
        receivedAtMs = performance.now();
      }
    },
  };
}

function ackIdsOf(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(({ ackId }) => ackId);
}
