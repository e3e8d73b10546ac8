import type { ServiceBusReceivedMessage, ServiceBusReceiver } from "@azure/service-bus";
import { mapConcurrently } from "../../../core/concurrency.ts";
import { BrokerError } from "../../../core/errors.ts";
import { contentSize } from "../../../core/message.ts";
import type { Log } from "../../../core/ports/log.ts";
import type { Delivery, Source } from "../../../core/ports/source.ts";
import { rawMessageOf } from "../../support/amqp/raw-messages.ts";
import { gather, type Supply, type Taken } from "../../support/pulling/gathering.ts";
import type { Health } from "../../support/pulling/health.ts";
import { createWaiters } from "../../support/pulling/waiters.ts";
import { brokerErrorOf, closedError, isLost } from "./errors.ts";
import { createLeases } from "./leases.ts";
import { messageOf, type Origin } from "./message.ts";
import { type Open, openOf, type ServiceBusDelivery } from "./open-deliveries.ts";

/** What brings the messages of a source: one queue or subscription, or its sessions. */
export interface Inflow {
  readonly health: Health;
  start(): void;
  /** Stops receiving; what was received can still be settled. It can be started again. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

export interface ServiceBusSourceOptions {
  origin: Origin;
  /** For messages: the queue or subscription. */
  entity: string;
  log: Log;
  /** `onMessage` resolves once the message is settled. */
  openInflow(onMessage: (message: ServiceBusReceivedMessage, receiver: ServiceBusReceiver) => Promise<void>, onFailure: () => void): Inflow;
}

const LEASE_MS = 60_000;
/** What is received and not asked for is kept this long after the last receive. */
const KEEP_HELD_MS = 10_000;
/** Part of a lock: the rest is for what comes after gathering. */
const GATHER_AT_MOST_MS = 15_000;
const MAX_HELD_BYTES = 48_000_000;
const SETTLED_AT_ONCE = 4_000;

/** Reads a queue or a subscription under locks, from the first receive on. */
export function createSource({ origin, entity, log, openInflow }: ServiceBusSourceOptions): Source {
  const waiters = createWaiters();
  const leases = createLeases(log);
  let held: Open[] = [];
  let heldBytes = 0;
  let receivedAtMs = 0;
  let receiving = 0;
  let idle: NodeJS.Timeout | undefined;
  let isClosed = false;

  const inflow = openInflow((received, receiver) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const raw = rawMessageOf(received._rawAmqpMessage.messageAnnotations);
    if (!raw)
      throw new BrokerError("unsupported", `receiving from ${entity}: the library of Service Bus does not show the bytes of its messages`);
    const { message, attempt, lockedUntilMs } = messageOf(raw, origin);
    letGoOf(received);
    const bytes = contentSize(message);
    const leaseUntilMs = Date.now() + LEASE_MS;
    const open: Open = { message, attempt, lockedUntilMs, bytes, received, receiver, leaseUntilMs, state: "held", done: resolve };
    leases.add(open);
    held.push(open);
    heldBytes += bytes;
    waiters.wake();
    return promise;
  }, waiters.wake);

  const letGo = async (): Promise<void> => {
    clearInterval(idle);
    idle = undefined;
    await inflow.stop();
    const unwanted = held;
    held = [];
    heldBytes = 0;
    await leases.giveBack(unwanted);
  };
  const look = () => {
    if (receiving === 0 && performance.now() - receivedAtMs >= KEEP_HELD_MS) return void letGo();
    // What waits here stays ours while somebody asks for it.
    for (const open of held) open.leaseUntilMs = Date.now() + LEASE_MS;
    if (heldBytes >= MAX_HELD_BYTES) void inflow.stop();
    else inflow.start();
  };
  const supply: Supply = {
    waiters,
    gatherAtMostMs: GATHER_AT_MOST_MS,
    moveTo: (taken) => {
      const [moved, hasRoom] = move(held, taken);
      for (const { bytes } of held.splice(0, moved)) heldBytes -= bytes;
      return hasRoom;
    },
    nextLookMs: () => Number.POSITIVE_INFINITY,
    failure: () => inflow.health.failure(),
    errorOf: ({ error }) => brokerErrorOf(error, `receiving from ${entity}`),
    isClosed: () => isClosed,
  };
  const ours = (deliveries: readonly Delivery[]) => {
    const opens = deliveries.map(openOf).filter((open): open is Open => open !== undefined && leases.open.has(open));
    return [...new Set(opens)];
  };
  return {
    async receive(options) {
      if (isClosed) throw closedError();
      if (options.signal?.aborted || options.maxMessages <= 0) return [];
      inflow.start();
      idle ??= setInterval(look, KEEP_HELD_MS / 10);
      receiving++;
      try {
        return await gather(supply, options);
      } finally {
        receiving--;
        receivedAtMs = performance.now();
      }
    },
    async acknowledge(deliveries) {
      if (isClosed) throw closedError();
      const settled = await mapConcurrently(ours(deliveries), SETTLED_AT_ONCE, async (open) => {
        try {
          await open.receiver.completeMessage(open.received);
        } catch (error) {
          if (!isLost(error)) throw brokerErrorOf(error, `settling messages of ${entity}`);
          return 0;
        } finally {
          leases.end(open);
        }
        return 1;
      });
      return settled.reduce((sum: number, each) => sum + each, 0);
    },
    async release(deliveries, delayMs) {
      const opens = ours(deliveries);
      if (delayMs <= 0) return leases.giveBack(opens);
      for (const open of opens) {
        open.state = "ended";
        open.leaseUntilMs = Date.now() + delayMs;
      }
    },
    async extend(deliveries, leaseMs) {
      for (const open of ours(deliveries)) open.leaseUntilMs = Date.now() + leaseMs;
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      waiters.wake();
      await letGo();
      await leases.giveBack([...leases.open]);
      leases.stop();
      await inflow.close();
    },
  };
}

/** What the library decoded is not needed any more, and would be kept until the message is settled. */
function letGoOf(received: ServiceBusReceivedMessage): void {
  Object.assign(received, { body: undefined, applicationProperties: undefined, _rawAmqpMessage: undefined });
}

/** Hands over as many of `held` as fit; returns how many, and whether more would fit. */
function move(held: readonly Open[], taken: Taken): [number, boolean] {
  let moved = 0;
  for (const open of held) {
    const isFirst = taken.deliveries.length === 0;
    if (taken.deliveries.length >= taken.maxMessages || (!isFirst && taken.bytes + open.bytes > taken.maxBytes)) return [moved, false];
    open.state = "out";
    open.leaseUntilMs = Date.now() + LEASE_MS;
    const delivery: ServiceBusDelivery = { ackId: open.received.lockToken ?? "", attempt: open.attempt, message: open.message, open };
    taken.deliveries.push(delivery);
    taken.bytes += open.bytes;
    moved++;
  }
  return [moved, taken.deliveries.length < taken.maxMessages && taken.bytes < taken.maxBytes];
}
