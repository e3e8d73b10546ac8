import { contentSize } from "../../../../core/message.ts";
import type { Log } from "../../../../core/ports/log.ts";
import type { Delivery, ReceiveOptions, Source } from "../../../../core/ports/source.ts";
import { gather, type Supply } from "../../../support/pulling/gathering.ts";
import { createWaiters } from "../../../support/pulling/waiters.ts";
import { brokerErrorOf, closedError } from "../errors.ts";
import { messageOf, type Origin } from "../message.ts";
import { createBudget } from "./budget.ts";
import { createCalls } from "./calls.ts";
import { createHeld } from "./held.ts";
import type { Inflow, InflowEvents } from "./inflow.ts";
import { createKeeping } from "./keeping.ts";
import { createLeases } from "./leases.ts";
import type { Link } from "./link.ts";
import { lockMsOf, type ServiceBusDelivery } from "./locks.ts";
import type { Transfer } from "./sdk-link.ts";

export interface ServiceBusSourceOptions {
  origin: Origin;
  /** For messages: the queue or subscription. */
  entity: string;
  /** What a message is taken for before there was any. */
  maxMessageBytes: number;
  log: Log;
  openInflow(events: InflowEvents): Inflow;
}

const LEASE_MS = 60_000;
/** A quarter of a lease: the rest is for what comes after gathering. */
const GATHER_AT_MOST_MS = 15_000;
const SETTLE_WITHIN_MS = 10_000;
/** For a receive that takes nothing. */
const OPEN_WITHIN_MS = 10_000;
const OPEN_LOOK_MS = 250;

/** Reads a queue or a subscription under locks, from the first receive on. */
export function createSource({ origin, entity, maxMessageBytes, log, openInflow }: ServiceBusSourceOptions): Source {
  const waiters = createWaiters();
  const budget = createBudget(maxMessageBytes);
  const held = createHeld(LEASE_MS);
  const calls = createCalls(() => inflow.receiver());
  const refillSoon = onceSoon(() => inflow.refill());
  const leases = createLeases({ budget, calls, log, onEnded: refillSoon });
  let isClosed = false;

  const inflow = openInflow({
    budget,
    onMessage(bytes, transfer, link) {
      const delivery = deliveryOf(bytes, transfer, link, origin);
      link.add(delivery, transfer);
      leases.add(delivery);
      budget.add(delivery.bytes);
      held.add(delivery);
      waiters.wake();
      refillSoon();
    },
    onLost: leases.end,
    onChange: waiters.wake,
    onConnection: calls.connectionLost,
  });
  const keeping = createKeeping(inflow, leases, held);
  const supply: Supply = {
    waiters,
    gatherAtMostMs: GATHER_AT_MOST_MS,
    moveTo: held.moveTo,
    nextLookMs: () => Number.POSITIVE_INFINITY,
    failure: () => inflow.health.failure(),
    errorOf: ({ error }) => brokerErrorOf(error, `receiving from ${entity}`),
    isClosed: () => isClosed,
  };
  /** Those that are ours still. */
  const outOf = (deliveries: readonly Delivery[]) => {
    const ours = (deliveries as readonly ServiceBusDelivery[]).filter((delivery) => delivery.state === "out" && leases.has(delivery));
    return [...new Set(ours)];
  };
  return {
    async receive(options) {
      if (isClosed) throw closedError();
      if (options.signal?.aborted) return [];
      return keeping.during(() => (options.maxMessages > 0 ? gather(supply, options) : opening(supply, inflow, options)));
    },
    async acknowledge(deliveries) {
      if (isClosed) throw closedError();
      const { count, error } = await leases.settle(outOf(deliveries), "complete", SETTLE_WITHIN_MS);
      if (error !== undefined) throw brokerErrorOf(error, `settling messages of ${entity}`);
      return count;
    },
    async release(deliveries, delayMs) {
      if (delayMs <= 0) return leases.giveBack(outOf(deliveries));
      for (const delivery of outOf(deliveries)) leases.delay(delivery, delayMs);
    },
    async extend(deliveries, leaseMs) {
      for (const delivery of outOf(deliveries)) delivery.leaseUntilMs = performance.now() + leaseMs;
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      waiters.wake();
      await keeping.close();
      calls.connectionLost();
    },
  };
}

/** Calls `work` once, in a moment, however often it is asked to until then. */
function onceSoon(work: () => void): () => void {
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    setImmediate(() => {
      isDue = false;
      work();
    });
  };
}

function deliveryOf(bytes: Buffer, transfer: Transfer, link: Link, origin: Origin): ServiceBusDelivery {
  const { message, attempt, lockedUntilMs } = messageOf(bytes, origin);
  const lockMs = lockMsOf(lockedUntilMs);
  return {
    ackId: (transfer.tag as Buffer).toString("hex"),
    attempt,
    message,
    link,
    transfer,
    bytes: contentSize(message),
    state: "held",
    // As long as somebody receives.
    leaseUntilMs: Number.POSITIVE_INFINITY,
    lockMs,
    lockedUntilMs: performance.now() + lockMs,
    run: undefined,
  };
}

/** Waits until messages can come. Throws BrokerError where it is known that they cannot. */
async function opening(supply: Supply, inflow: Inflow, { signal }: ReceiveOptions): Promise<Delivery[]> {
  const endMs = performance.now() + OPEN_WITHIN_MS;
  while (!inflow.isOpen && !signal?.aborted && !supply.isClosed() && performance.now() < endMs) {
    const failure = supply.failure();
    if (failure) throw supply.errorOf(failure);
    await supply.waiters.wait(OPEN_LOOK_MS, signal);
  }
  return [];
}
