import type { Delivery, ReceiveOptions, Source } from "../../../core/ports/source.ts";
import type { SourceSettings } from "../../registry.ts";
import type { Connection } from "./connection.ts";
import { deliveryOf } from "./decoding.ts";
import { brokerErrorOf, closedError } from "./errors.ts";
import { createHeld, type Taken } from "./held.ts";
import { pathOf } from "./names.ts";
import { createSettling } from "./settling.ts";
import { createStreams, STREAMS } from "./streams.ts";
import { createWaiters } from "./waiters.ts";

/** Bounds of what a source has been sent and nobody has settled: held here, or handed over. */
const OUTSTANDING_MESSAGES = 20_000;
const OUTSTANDING_BYTES = 64_000_000;
const LEASE_SECONDS = 60;
/** Part of the lease that gathering a batch may use up. */
const GATHER_AT_MOST_MS = (LEASE_SECONDS * 1000) / 4;
/** How often the leases of what is held are prolonged, and how long after the last receive it is given back. */
const LOOK_AFTER_HELD_MS = 10_000;
/** A broker that is away may come back in a moment. */
const FAILING_AT_MOST_MS = 3_000;
const HEALTH_LOOK_MS = 500;

/** Reads a subscription by streams, which open at the first receive. Owns the connection. */
export function createSource(connection: Connection, settings: SourceSettings): Source {
  const subscription = () => pathOf("subscriptions", settings.subscription, connection.projectId);
  const settling = createSettling(connection, subscription);
  const held = createHeld();
  const waiters = createWaiters();
  let isClosed = false;
  let receiving = 0;
  let receivedAtMs = 0;
  let looking: NodeJS.Timeout | undefined;

  const bound = () => streams.setPaused(held.count >= OUTSTANDING_MESSAGES || held.bytes >= OUTSTANDING_BYTES);
  const streams = createStreams({
    async open() {
      const path = await subscription();
      const stream = await connection.openStream(path);
      stream.write({
        subscription: path,
        streamAckDeadlineSeconds: LEASE_SECONDS,
        maxOutstandingMessages: OUTSTANDING_MESSAGES / STREAMS,
        maxOutstandingBytes: OUTSTANDING_BYTES / STREAMS,
      });
      return stream;
    },
    onDeliveries(received) {
      for (const each of received) held.add(deliveryOf(each, settings));
      bound();
      waiters.wake();
    },
    onFailure: waiters.wake,
  });
  const letGo = async (): Promise<void> => {
    clearInterval(looking);
    looking = undefined;
    streams.stop();
    // What cannot be given back now comes again when its lease ends.
    await settling.endLeasesIn(0, held.clear()).catch(() => undefined);
  };
  const lookAfterHeld = () => {
    if (receiving === 0 && performance.now() - receivedAtMs >= LOOK_AFTER_HELD_MS) void letGo();
    else void settling.endLeasesIn(LEASE_SECONDS * 1000, held.ackIds()).catch(() => undefined);
  };
  const start = () => {
    looking ??= setInterval(lookAfterHeld, LOOK_AFTER_HELD_MS);
    streams.start();
  };
  /** Throws what keeps deliveries from coming, once it is sure to: after another try that no waiting can help, after some seconds, or at the end. */
  const checkHealth = (startedMs: number, isOver: boolean) => {
    const failure = streams.health.failure();
    if (!failure) return;
    const isHopeless = !failure.isTransient && failure.atMs >= startedMs;
    if (!isOver && !isHopeless && performance.now() - Math.max(failure.sinceMs, startedMs) < FAILING_AT_MOST_MS) return;
    throw brokerErrorOf(failure.error, { what: `receiving from ${settings.subscription}`, role: "roles/pubsub.subscriber" });
  };
  const gather = async (taken: Taken, { maxWaitMs, signal }: ReceiveOptions): Promise<void> => {
    const startedMs = performance.now();
    let endMs = startedMs + maxWaitMs;
    for (let hasWaited = false; !signal?.aborted && !isClosed; hasWaited = true) {
      const wasEmpty = taken.deliveries.length === 0;
      const hasRoom = held.moveTo(taken);
      const isEmpty = taken.deliveries.length === 0;
      bound();
      const nowMs = performance.now();
      if (wasEmpty && !isEmpty) endMs = Math.min(endMs, nowMs + GATHER_AT_MOST_MS);
      // Even without time to wait, what has arrived by now is let in: a caller that asks again and again must not keep it out.
      const isOver = nowMs >= endMs && (hasWaited || !isEmpty);
      if (isEmpty) checkHealth(startedMs, isOver);
      if (!hasRoom || isOver) return;
      await waiters.wait(Math.max(0, Math.min(endMs - nowMs, HEALTH_LOOK_MS)), signal);
    }
  };
  return {
    async receive(options) {
      if (isClosed) throw closedError();
      const taken: Taken = { deliveries: [], bytes: 0, maxMessages: options.maxMessages, maxBytes: options.maxBytes };
      if (options.signal?.aborted || options.maxMessages <= 0) return taken.deliveries;
      receiving++;
      start();
      try {
        await gather(taken, options);
        return taken.deliveries;
      } finally {
        receiving--;
        receivedAtMs = performance.now();
      }
    },
    acknowledge: (deliveries) => settling.acknowledge(ackIdsOf(deliveries)),
    release: (deliveries, delayMs) => settling.endLeasesIn(delayMs, ackIdsOf(deliveries)),
    extend: (deliveries, leaseMs) => settling.endLeasesIn(Math.max(1, leaseMs), ackIdsOf(deliveries)),
    async close() {
      if (isClosed) return;
      isClosed = true;
      waiters.wake();
      await letGo();
      await connection.close();
    },
  };
}

function ackIdsOf(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(({ ackId }) => ackId);
}
