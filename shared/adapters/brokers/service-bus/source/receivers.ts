import type { MessageHandlers, ServiceBusReceiver } from "@azure/service-bus";
import { BrokerError } from "../../../../core/errors.ts";
import { createHealth } from "../../../support/pulling/health.ts";
import { endsWithin } from "../../../support/within.ts";
import { isHopeless } from "../errors.ts";
import type { Inflow, InflowEvents } from "./inflow.ts";
import { createLink, creditOf, type Link } from "./link.ts";
import { linkOf } from "./sdk-link.ts";
import { createSwitch } from "./switch.ts";

/** With the places of each these are more messages than a source may have. */
const RECEIVERS = 10;
/** Below this a further receiver is not worth its link. */
const ROOM_FOR_ANOTHER = 100;
const TOLERATED_FAILURES = 2;
const STOP_WITHIN_MS = 2_000;
const CLOSE_WITHIN_MS = 3_000;

interface Running {
  readonly receiver: ServiceBusReceiver;
  /** Undefined until it is open for the first time. */
  link: Link | undefined;
  /** Whether it is asked for messages. */
  isFlowing: boolean;
  stop(): Promise<unknown>;
}

/** Receivers of one queue or subscription: one, and another whenever those that there are have no more room. `open` makes one. */
export function createReceivers(open: () => ServiceBusReceiver, events: InflowEvents): Inflow {
  const health = createHealth({
    toleratedFailures: TOLERATED_FAILURES,
    isTransient: (error) => !isHopeless(error),
    onFailure: events.onChange,
  });
  const all: Running[] = [];

  /** The SDK has opened a link, for the first time or again. */
  const opened = (running: Running) => {
    health.succeeded();
    const amqpLink = linkOf(running.receiver);
    if (!amqpLink) throw new BrokerError("unsupported", "receiving from Service Bus: its library does not show its links");
    running.isFlowing = true;
    if (running.link?.amqpLink !== amqpLink) {
      running.link?.look();
      running.link = createLink({ amqpLink, receiver: running.receiver, isOfSession: false, ...events });
      events.onConnection();
    }
    events.onChange();
    refill();
  };
  const subscribe = (running: Running) => {
    const stopping = new AbortController();
    const handlers: MessageHandlers & { postInitialize(): Promise<void> } = {
      postInitialize: async () => opened(running),
      async processMessage() {
        throw new BrokerError("unsupported", "receiving from Service Bus: its library keeps messages to itself");
      },
      async processError({ error }) {
        if (!stopping.signal.aborted) health.failed(error);
      },
    };
    const options = { autoCompleteMessages: false, maxConcurrentCalls: 1, abortSignal: stopping.signal };
    const subscription = running.receiver.subscribe(handlers, options);
    running.stop = async () => {
      running.isFlowing = false;
      stopping.abort();
      await endsWithin(STOP_WITHIN_MS, subscription.close());
    };
  };
  const startOne = () => {
    const running: Running = { receiver: open(), link: undefined, isFlowing: false, stop: async () => undefined };
    all.push(running);
    subscribe(running);
  };
  const running = createSwitch(
    async () => {
      if (all.length === 0) startOne();
      else all.forEach(subscribe);
    },
    async () => {
      await Promise.all(all.map(({ stop }) => stop()));
      health.succeeded();
    },
  );
  const refill = () => {
    if (!running.isWanted) return;
    const asked = all.reduce((sum, { link }) => sum + (link?.isOpen() ? creditOf(link.amqpLink) : 0), 0);
    let room = events.budget.room(asked);
    for (const { link, isFlowing } of all) {
      const count = link && isFlowing ? Math.min(room, link.room()) : 0;
      if (count <= 0) continue;
      link?.amqpLink.add_credit(count);
      room -= count;
    }
    if (room >= ROOM_FOR_ANOTHER && all.length < RECEIVERS && all.every(({ isFlowing }) => isFlowing)) startOne();
  };
  return {
    health,
    get isOpen() {
      return all.some(({ link, isFlowing }) => isFlowing && link?.isOpen());
    },
    get isQuiet() {
      return !running.isWanted;
    },
    start: () => void running.set(true),
    stop: () => running.set(false),
    refill,
    look() {
      for (const { link } of all) link?.look();
      refill();
    },
    async close() {
      await running.set(false);
      await endsWithin(CLOSE_WITHIN_MS, Promise.all(all.map(({ receiver }) => receiver.close())));
    },
  };
}
