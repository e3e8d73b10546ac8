import type { Delivery, ReceiveOptions } from "../../../core/ports/source.ts";
import type { Client } from "./client.ts";
import { type DeliveryOrigin, unpackDeliveries } from "./frames.ts";
import type { ReceivedPart, ReceiveRequest } from "./protocol.ts";

/** How often a waiting receive looks by itself: other processes may publish, too. */
const POLL_MS = 200;
/** While a batch gathers, a look at each message that comes would cost more than it brings. */
const GATHER_STEP_MS = 15;
/** Part of the lease that gathering may use up. */
const LEASE_SHARE = 1 / 4;

export interface Receiving extends ReceiveOptions {
  origin: DeliveryOrigin;
  leaseMs: number;
  /** Returns with this many already. */
  enough: number;
}

/** Takes deliveries until there are enough, nothing more fits, or the time is over. Throws BrokerError. */
export async function receiveDeliveries(client: Client, receiving: Receiving): Promise<Delivery[]> {
  const { origin, enough, signal } = receiving;
  const taken: Delivery[] = [];
  let bytes = 0;
  let endMs = performance.now() + receiving.maxWaitMs;
  const leftMs = () => endMs - performance.now();
  const listener = client.wakeUps.listen(origin.topic);
  try {
    for (;;) {
      const part = await nextPart(client, receiving, taken.length, bytes);
      if (part.count > 0 && taken.length === 0) endMs = Math.min(endMs, performance.now() + receiving.leaseMs * LEASE_SHARE);
      for (const delivery of unpackDeliveries(part.frames, part.count, origin)) taken.push(delivery);
      bytes += part.bytes;
      const isDone = taken.length >= enough || bytes >= receiving.maxBytes || (part.full && part.count === 0);
      if (isDone || leftMs() <= 0) return taken;
      if (part.full) continue;
      if (taken.length > 0) await sleep(Math.min(leftMs(), GATHER_STEP_MS));
      await listener.wait(Math.max(0, Math.min(leftMs(), part.nextDueMs ?? POLL_MS, POLL_MS)), signal);
      if (signal?.aborted || client.closing.aborted) return taken;
    }
  } finally {
    listener.stop();
  }
}

/** What is due now, within what is still wanted. A failure counts as nothing more where something is in hand already. */
async function nextPart(client: Client, receiving: Receiving, messages: number, bytes: number): Promise<ReceivedPart> {
  const request: ReceiveRequest = {
    subscription: receiving.origin.subscription,
    maxMessages: receiving.maxMessages - messages,
    maxBytes: receiving.maxBytes - bytes,
    atLeastOne: messages === 0,
  };
  try {
    const part = await client.call<ReceivedPart>("receive", request);
    if (part.deadLetteredTo !== undefined) client.wakeUps.notify(part.deadLetteredTo);
    return part;
  } catch (error) {
    if (messages === 0) throw error;
    return NOTHING_MORE;
  }
}

const NOTHING_MORE: ReceivedPart = {
  count: 0,
  bytes: 0,
  frames: new ArrayBuffer(0),
  full: true,
  nextDueMs: undefined,
  deadLetteredTo: undefined,
};

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
