import { setTimeout as sleep } from "node:timers/promises";
import type { ServiceBusClient, ServiceBusSessionReceiver } from "@azure/service-bus";
import { BrokerError } from "../../../../core/errors.ts";
import { createHealth } from "../../../support/pulling/health.ts";
import { endsWithin } from "../../../support/within.ts";
import { type Connecting, closeClient, isConnected } from "../connection.ts";
import { isHopeless, isNoneFree } from "../errors.ts";
import { createSilence, type Inflow, type InflowEvents } from "./inflow.ts";
import { ask, createLink, creditOf } from "./link.ts";
import { linkOf } from "./sdk-link.ts";
import { createSession, type Session } from "./session.ts";
import { createSwitch } from "./switch.ts";

/** Each has a link. */
const SESSIONS = 500;
const ACCEPTED_AT_ONCE = 8;
const AGAIN_MS = 1_000;
const FULL_FOR_MS = 50;
/** Messages that a session may be sent before one of them has come. */
const AHEAD_AT_MOST = 200;
/** Longer than Service Bus waits for a session; the SDK waits a minute for an answer that was lost with its connection. */
const ACCEPT_WITHIN_MS = 15_000;
/** How long a session has its place where all are taken. */
const TURN_MS = 10_000;
const TOLERATED_FAILURES = 2;
const CLOSE_WITHIN_MS = 1_500;

export interface SessionsOptions {
  connect: Connecting;
  /** Waits for a session that nobody holds. Throws ServiceBusError `ServiceTimeout` where there is none. */
  accept(client: ServiceBusClient, signal: AbortSignal): Promise<ServiceBusSessionReceiver>;
  events: InflowEvents;
}

/** Takes sessions as they become free, each one's messages in their order. */
export function createSessions({ connect, accept, events }: SessionsOptions): Inflow {
  const health = createHealth({
    toleratedFailures: TOLERATED_FAILURES,
    isTransient: (error) => !isHopeless(error),
    onFailure: events.onChange,
  });
  const silence = createSilence(health);
  const all = new Set<Session>();
  /** The one that sessions are accepted by comes last. */
  const clients: ServiceBusClient[] = [];
  let accepting = new AbortController();

  const isFull = () => all.size >= SESSIONS || events.budget.most() <= 0;
  const opened = (receiver: ServiceBusSessionReceiver) => {
    const amqpLink = linkOf(receiver);
    if (!amqpLink) throw new BrokerError("unsupported", "receiving from Service Bus: its library does not show its links");
    all.add(createSession(createLink({ amqpLink, isOfSession: true, ...events }), receiver));
    refill();
  };
  const connected = (): ServiceBusClient => {
    if (clients.length === 0) clients.push(connect());
    return clients.at(-1) as ServiceBusClient;
  };
  /** The SDK is stuck with a connection; sessions that are open go on with it. */
  const partWith = (client: ServiceBusClient | undefined) => {
    if (!client || client !== clients.at(-1)) return;
    if (all.size > 0) clients.push(connect());
    else void closeClient(clients.pop() as ServiceBusClient);
  };
  const acceptOne = async (signal: AbortSignal): Promise<void> => {
    const limit = AbortSignal.timeout(ACCEPT_WITHIN_MS);
    let client: ServiceBusClient | undefined;
    try {
      client = connected();
      const receiver = await accept(client, AbortSignal.any([signal, limit]));
      if (signal.aborted) return void receiver.close().catch(() => undefined);
      silence.answered();
      health.succeeded();
      opened(receiver);
    } catch (error) {
      if (signal.aborted) return;
      if (limit.aborted) return partWith(client);
      silence.answered();
      if (isNoneFree(error)) health.succeeded();
      else health.failed(error);
      await pause(AGAIN_MS, signal);
    }
  };
  const keepAccepting = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      if (!isFull()) {
        await acceptOne(signal);
        continue;
      }
      silence.answered();
      await pause(FULL_FOR_MS, signal);
    }
  };
  const running = createSwitch(
    async () => {
      accepting = new AbortController();
      silence.answered();
      for (let i = 0; i < ACCEPTED_AT_ONCE; i++) void keepAccepting(accepting.signal);
    },
    // What is accepted meanwhile is closed at once.
    async () => {
      accepting.abort();
      health.succeeded();
    },
  );
  /** Each session may be sent a share of what may be on its way: the others must not wait for one that has nothing. */
  const refill = () => {
    if (!running.isWanted) return;
    const share = Math.min(AHEAD_AT_MOST, Math.ceil(events.budget.most() / all.size));
    for (const { link, isEnding } of all) {
      const asked = creditOf(link.amqpLink);
      if (!isEnding && asked <= share / 2) ask(link, Math.min(share - asked, link.room()));
    }
  };
  return {
    health,
    get isOpen() {
      return running.isWanted && clients.some(isConnected);
    },
    get isQuiet() {
      return !running.isWanted && all.size === 0;
    },
    // A session's messages are settled over their links alone.
    receiver: () => undefined,
    start: () => void running.set(true),
    stop: () => running.set(false),
    refill,
    look() {
      const turnMs = !running.isWanted ? 0 : all.size >= SESSIONS ? TURN_MS : Number.POSITIVE_INFINITY;
      for (const session of all) {
        if (session.look(turnMs)) continue;
        all.delete(session);
      }
      if (running.isWanted) silence.look();
      if (all.size === 0) for (const client of clients.splice(0, clients.length - 1)) void closeClient(client);
      refill();
    },
    async close() {
      await running.set(false);
      await endsWithin(CLOSE_WITHIN_MS, Promise.all([...all].map(({ close }) => close())));
      all.clear();
      await Promise.all(clients.splice(0).map(closeClient));
    },
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return sleep(ms, undefined, { signal }).catch(() => undefined);
}
