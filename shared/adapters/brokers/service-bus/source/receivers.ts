import type { MessageHandlers, ServiceBusClient, ServiceBusReceiver } from "@azure/service-bus";
import { BrokerError } from "../../../../core/errors.ts";
import { backOffMs } from "../../../../core/retry.ts";
import { createHealth } from "../../../support/pulling/health.ts";
import { endsWithin } from "../../../support/within.ts";
import { type Connecting, closeClient } from "../connection.ts";
import { isHopeless } from "../errors.ts";
import { createSilence, type Inflow, type InflowEvents } from "./inflow.ts";
import { ask, createLink, creditOf, type Link } from "./link.ts";
import { drain, linkOf } from "./sdk-link.ts";
import { createSwitch } from "./switch.ts";

/** With the places of each these are more messages than a source may have. */
const RECEIVERS = 10;
/** Below this a further receiver is not worth its link. */
const ROOM_FOR_ANOTHER = 100;
const TOLERATED_FAILURES = 2;
/** The SDK waits a minute for an answer that was lost with its connection, and so do all that wait for it. Before that it gets a new connection. */
const OPEN_WITHIN = { firstDelayMs: 5_000, maxDelayMs: 40_000 } as const;
const STOP_WITHIN_MS = 1_000;

interface Running {
  readonly receiver: ServiceBusReceiver;
  /** Undefined until it is open for the first time. */
  link: Link | undefined;
  /** Whether it is asked for messages. */
  isFlowing: boolean;
  /** Undefined while it does not receive. False where the broker does not answer. */
  stop: (() => Promise<boolean>) | undefined;
}

export interface ReceiversOptions {
  connect: Connecting;
  /** Makes a receiver of the queue or subscription. */
  open(client: ServiceBusClient): ServiceBusReceiver;
  events: InflowEvents;
}

/** Receivers of one queue or subscription: one, and another whenever those that there are have no more room. */
export function createReceivers({ connect, open, events }: ReceiversOptions): Inflow {
  const health = createHealth({
    toleratedFailures: TOLERATED_FAILURES,
    isTransient: (error) => !isHopeless(error),
    onFailure: events.onChange,
  });
  const silence = createSilence(health);
  let client: ServiceBusClient | undefined;
  let all: Running[] = [];
  /** When the SDK was last seen not to be stuck, and how often it was since a link was open. */
  let aliveMs = 0;
  let stuck = 0;

  /** The SDK has opened a link, for the first time or again. */
  const opened = (running: Running) => {
    health.succeeded();
    stuck = 0;
    const amqpLink = linkOf(running.receiver);
    if (!amqpLink) throw new BrokerError("unsupported", "receiving from Service Bus: its library does not show its links");
    running.isFlowing = true;
    if (running.link?.amqpLink !== amqpLink) {
      if (running.link) lookAt(running.link);
      running.link = createLink({ amqpLink, isOfSession: false, ...events });
    }
    events.onChange();
    refill();
  };
  const lookAt = (link: Link) => {
    const wasThere = link.locks.size > 0;
    link.look();
    if (!link.isOpen() && wasThere) events.onConnection();
  };
  const subscribe = (running: Running) => {
    const stopping = new AbortController();
    const handlers: MessageHandlers & { postInitialize(): Promise<void> } = {
      async postInitialize() {
        if (!stopping.signal.aborted) opened(running);
      },
      async processMessage() {
        throw new BrokerError("unsupported", "receiving from Service Bus: its library keeps messages to itself");
      },
      async processError({ error }) {
        if (stopping.signal.aborted) return;
        silence.answered();
        aliveMs = performance.now();
        health.failed(error);
      },
    };
    const options = { autoCompleteMessages: false, maxConcurrentCalls: 1, abortSignal: stopping.signal };
    const subscription = running.receiver.subscribe(handlers, options);
    running.stop = async () => {
      running.stop = undefined;
      running.isFlowing = false;
      stopping.abort();
      if (running.link && !(await drain(running.link.amqpLink))) return false;
      return endsWithin(STOP_WITHIN_MS, subscription.close());
    };
  };
  /** Has a first one, and all there are, receive. */
  const begin = () => {
    try {
      if (all.length === 0) add();
      for (const running of all) if (!running.stop) subscribe(running);
    } catch (error) {
      health.failed(error);
    }
  };
  const add = () => {
    client ??= connect();
    all.push({ receiver: open(client), link: undefined, isFlowing: false, stop: undefined });
  };
  const isOpen = () => all.some(({ link, isFlowing }) => isFlowing && link?.isOpen());
  const partWithStuck = () => {
    if (isOpen()) aliveMs = performance.now();
    if (performance.now() - aliveMs < backOffMs(stuck + 1, OPEN_WITHIN)) return;
    aliveMs = performance.now();
    stuck++;
    void part();
  };
  /** Leaves the connection and all that hangs on it. */
  const part = async (): Promise<void> => {
    const parting = { client, all };
    client = undefined;
    all = [];
    events.onConnection();
    await Promise.all(parting.all.map(({ stop }) => stop?.()));
    if (parting.client) await closeClient(parting.client);
    for (const { link } of parting.all) link?.look();
  };
  const running = createSwitch(
    async () => {
      silence.answered();
      aliveMs = performance.now();
      begin();
    },
    async () => {
      const stopped = await Promise.all(all.map(({ stop }) => stop?.()));
      health.succeeded();
      if (stopped.includes(false)) await part();
    },
  );
  const refill = () => {
    if (!running.isWanted) return;
    const asked = all.reduce((sum, { link }) => sum + (link?.isOpen() ? creditOf(link.amqpLink) : 0), 0);
    let room = events.budget.room(asked);
    for (const { link, isFlowing } of all) {
      const count = link && isFlowing ? Math.min(room, link.room()) : 0;
      if (link) ask(link, count);
      room -= Math.max(0, count);
    }
    if (room < ROOM_FOR_ANOTHER || all.length >= RECEIVERS || !all.every(({ isFlowing }) => isFlowing)) return;
    add();
    begin();
  };
  return {
    health,
    get isOpen() {
      return isOpen();
    },
    get isQuiet() {
      return !running.isWanted;
    },
    receiver: () => all[0]?.receiver,
    start: () => void running.set(true),
    stop: () => running.set(false),
    refill,
    look() {
      for (const { link } of all) if (link) lookAt(link);
      if (!running.isWanted) return;
      if (isOpen()) silence.answered();
      else silence.look();
      partWithStuck();
      begin();
      refill();
    },
    async close() {
      await running.set(false);
      await part();
    },
  };
}
