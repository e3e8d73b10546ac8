import type { ServiceBusClient, ServiceBusReceiver } from "@azure/service-bus";
import { backOffMs } from "../../../../core/retry.ts";
import { createHealth } from "../../../support/pulling/health.ts";
import { type Connecting, closeClient } from "../connection.ts";
import { isHopeless } from "../errors.ts";
import { createSilence, type Inflow, type InflowEvents } from "./inflow.ts";
import { ask, creditOf } from "./link.ts";
import { createReceiver, type Receiver } from "./receiver.ts";
import { createSwitch } from "./switch.ts";

/** With the places of each these are more messages than a source may have. */
const RECEIVERS = 10;
/** Below this a further receiver is not worth its link. */
const ROOM_FOR_ANOTHER = 100;
const TOLERATED_FAILURES = 2;
/** The SDK waits a minute for an answer that was lost with its connection, and so do all that wait for it. Before that it gets a new connection. */
const OPEN_WITHIN = { firstDelayMs: 5_000, maxDelayMs: 40_000 } as const;

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
  let all: Receiver[] = [];
  /** How often a connection was left since a link was open. */
  let parted = 0;

  const add = () => {
    client ??= connect();
    const receiver = createReceiver({
      sdk: open(client),
      events,
      onOpened() {
        health.succeeded();
        parted = 0;
        events.onChange();
        refill();
      },
      onFailed(error) {
        silence.answered();
        health.failed(error);
      },
    });
    all.push(receiver);
  };
  /** Has a first one, and all there are, receive. */
  const begin = () => {
    try {
      if (all.length === 0) add();
      for (const receiver of all) receiver.start();
    } catch (error) {
      health.failed(error);
    }
  };
  /** Leaves the connection and all that hangs on it. */
  const part = async (): Promise<void> => {
    const [left, receivers] = [client, all];
    client = undefined;
    all = [];
    events.onConnection();
    await Promise.all(receivers.map((receiver) => receiver.stop()));
    if (left) await closeClient(left);
    for (const receiver of receivers) receiver.look();
  };
  const leave = (receiver: Receiver): Promise<boolean> => {
    all.splice(all.indexOf(receiver), 1);
    return receiver.close();
  };
  /** A link frees the places of its messages in their order: one that is held for long would stop all behind it. Another link takes its place. */
  const leaveBlocked = async (): Promise<void> => {
    const closed = await Promise.all(all.filter(({ link }) => link?.isBlocked()).map(leave));
    if (closed.includes(false)) await part();
  };
  const leaveStuck = () => {
    const limitMs = isOpen() ? OPEN_WITHIN.firstDelayMs : backOffMs(parted + 1, OPEN_WITHIN);
    const stuck = all.filter(({ aliveMs }) => performance.now() - aliveMs >= limitMs);
    if (stuck.length === 0) return;
    if (isOpen()) for (const receiver of stuck) void leave(receiver);
    else {
      parted++;
      void part();
    }
  };
  const running = createSwitch(
    async () => {
      silence.answered();
      begin();
    },
    async () => {
      const stopped = await Promise.all(all.map((receiver) => receiver.stop()));
      health.succeeded();
      if (stopped.includes(false)) await part();
    },
  );
  const refill = () => {
    if (!running.isWanted) return;
    let room = events.budget.room(all.reduce((sum, { link }) => sum + (link?.isOpen() ? creditOf(link.amqpLink) : 0), 0));
    for (const { link, isFlowing } of all) {
      const count = link && isFlowing ? Math.min(room, link.room()) : 0;
      if (link) ask(link, count);
      room -= Math.max(0, count);
    }
    if (room < ROOM_FOR_ANOTHER || all.length >= RECEIVERS || !all.every(({ isFlowing }) => isFlowing)) return;
    add();
    begin();
  };
  const isOpen = () => all.some(({ link, isFlowing }) => isFlowing && link?.isOpen());
  return {
    health,
    get isOpen() {
      return isOpen();
    },
    get isQuiet() {
      return !running.isWanted;
    },
    receiver: () => all[0]?.sdk,
    start: () => void running.set(true),
    stop: () => running.set(false),
    refill,
    look() {
      for (const receiver of all) receiver.look();
      if (!running.isWanted) return;
      void leaveBlocked();
      if (isOpen()) silence.answered();
      else silence.look();
      leaveStuck();
      begin();
      refill();
    },
    async close() {
      await running.set(false);
      await part();
    },
  };
}
