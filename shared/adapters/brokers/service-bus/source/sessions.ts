import { setTimeout as sleep } from "node:timers/promises";
import type { ServiceBusSessionReceiver } from "@azure/service-bus";
import { BrokerError } from "../../../../core/errors.ts";
import { createHealth } from "../../../support/pulling/health.ts";
import { endsWithin } from "../../../support/within.ts";
import { isHopeless, isNoneFree } from "../errors.ts";
import type { Inflow, InflowEvents } from "./inflow.ts";
import { createLink, creditOf } from "./link.ts";
import { linkOf } from "./sdk-link.ts";
import { createSession, type Session } from "./session.ts";
import { createSwitch } from "./switch.ts";

/** Each has a link. */
const SESSIONS = 500;
const ACCEPTED_AT_ONCE = 8;
const AGAIN_MS = 1_000;
const FULL_FOR_MS = 50;
/** How long a session has its place where all are taken. */
const TURN_MS = 10_000;
const TOLERATED_FAILURES = 2;
const CLOSE_WITHIN_MS = 3_000;

/**
 * Takes sessions as they become free, each one's messages in their order. `accept` waits for a session that nobody holds, and throws ServiceBusError
 * `ServiceTimeout` where there is none.
 */
export function createSessions(accept: (signal: AbortSignal) => Promise<ServiceBusSessionReceiver>, events: InflowEvents): Inflow {
  const health = createHealth({
    toleratedFailures: TOLERATED_FAILURES,
    isTransient: (error) => !isHopeless(error),
    onFailure: events.onChange,
  });
  const all = new Set<Session>();
  let accepting = new AbortController();

  const isFull = () => all.size >= SESSIONS || events.budget.room(0) <= 0;
  const opened = (receiver: ServiceBusSessionReceiver) => {
    const amqpLink = linkOf(receiver);
    if (!amqpLink) throw new BrokerError("unsupported", "receiving from Service Bus: its library does not show its links");
    all.add(createSession(createLink({ amqpLink, receiver, isOfSession: true, ...events }), receiver));
    refill();
  };
  const acceptOne = async (signal: AbortSignal): Promise<void> => {
    try {
      const receiver = await accept(signal);
      if (signal.aborted) return void receiver.close().catch(() => undefined);
      health.succeeded();
      opened(receiver);
    } catch (error) {
      if (signal.aborted) return;
      if (isNoneFree(error)) health.succeeded();
      else health.failed(error);
      await pause(AGAIN_MS, signal);
    }
  };
  const keepAccepting = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      if (isFull()) await pause(FULL_FOR_MS, signal);
      else await acceptOne(signal);
    }
  };
  const running = createSwitch(
    async () => {
      accepting = new AbortController();
      for (let i = 0; i < ACCEPTED_AT_ONCE; i++) void keepAccepting(accepting.signal);
    },
    // What is accepted meanwhile is closed at once.
    async () => {
      accepting.abort();
      health.succeeded();
    },
  );
  /** All sessions get the same share. */
  const refill = () => {
    if (!running.isWanted || all.size === 0) return;
    let asked = 0;
    for (const { link } of all) asked += link.isOpen() ? creditOf(link.amqpLink) : 0;
    let room = events.budget.room(asked);
    const share = Math.max(1, Math.floor((room + asked) / all.size));
    for (const { link, isEnding } of all) {
      if (room <= 0) return;
      const count = isEnding ? 0 : Math.min(room, link.room(), share - creditOf(link.amqpLink));
      if (count <= 0) continue;
      link.amqpLink.add_credit(count);
      room -= count;
    }
  };
  return {
    health,
    get isOpen() {
      return running.isWanted;
    },
    get isQuiet() {
      return !running.isWanted && all.size === 0;
    },
    start: () => void running.set(true),
    stop: () => running.set(false),
    refill,
    look() {
      const turnMs = !running.isWanted ? 0 : all.size >= SESSIONS ? TURN_MS : Number.POSITIVE_INFINITY;
      for (const session of all) {
        if (session.look(turnMs)) continue;
        all.delete(session);
        events.onConnection();
      }
      refill();
    },
    async close() {
      await running.set(false);
      await endsWithin(CLOSE_WITHIN_MS, Promise.all([...all].map(({ close }) => close())));
      all.clear();
    },
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return sleep(ms, undefined, { signal }).catch(() => undefined);
}
