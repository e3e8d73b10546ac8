import type { ServiceBusReceivedMessage, ServiceBusReceiver } from "@azure/service-bus";
import { createHealth, type Health } from "../../support/pulling/health.ts";
import { isHopeless } from "./errors.ts";

export interface ReceiversOptions {
  /** Opens another receiver, which does not receive yet. */
  open(): Promise<ServiceBusReceiver>;
  /** Resolves once the message is settled: until then it counts against what its receiver may hold. */
  onMessage(message: ServiceBusReceivedMessage, receiver: ServiceBusReceiver): Promise<void>;
  onFailure(): void;
}

/** Several receivers of one queue or subscription: a single one holds no more than 2,047 messages that are not settled. */
export interface Receivers {
  readonly health: Health;
  /** Opens a first receiver; another follows whenever those that there are hold as much as they may. */
  start(): void;
  /** Stops receiving; what was received can still be settled. They can be started again. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** The AMQP library counts what is not settled in a ring of 2,048. */
const UNSETTLED_AT_MOST = 1_900;
const RECEIVERS = 8;
const TOLERATED_FAILURES = 2;

interface Running {
  receiver: ServiceBusReceiver;
  unsettled: number;
  /** Undefined while it does not receive. */
  stop: (() => Promise<void>) | undefined;
}

export function createReceivers({ open, onMessage, onFailure }: ReceiversOptions): Receivers {
  const health = createHealth({ toleratedFailures: TOLERATED_FAILURES, isTransient: (error) => !isHopeless(error), onFailure });
  const all: Running[] = [];
  let isWanted = false;
  let starting: Promise<void> | undefined;

  const subscribe = (running: Running) => {
    const stopWatching = health.watch();
    const subscription = running.receiver.subscribe(
      {
        async processMessage(message) {
          health.succeeded();
          running.unsettled++;
          if (all.every(isFull)) startAnother();
          await onMessage(message, running.receiver).finally(() => running.unsettled--);
        },
        async processError({ error }) {
          stopWatching();
          health.failed(error);
        },
      },
      { autoCompleteMessages: false, maxConcurrentCalls: UNSETTLED_AT_MOST },
    );
    running.stop = async () => {
      stopWatching();
      running.stop = undefined;
      await subscription.close();
    };
  };
  const start = async (): Promise<void> => {
    let next = all.find(({ stop }) => !stop);
    if (!next) {
      next = { receiver: await open(), unsettled: 0, stop: undefined };
      all.push(next);
    }
    if (isWanted) subscribe(next);
  };
  const startAnother = () => {
    if (starting || !isWanted || all.filter(({ stop }) => stop).length >= RECEIVERS) return;
    starting = start()
      .catch(health.failed)
      .finally(() => {
        starting = undefined;
      });
  };
  const stop = async () => {
    isWanted = false;
    await starting;
    await Promise.allSettled(all.map((running) => running.stop?.()));
    health.succeeded();
  };
  return {
    health,
    start() {
      if (isWanted && (starting || all.some((running) => running.stop))) return;
      isWanted = true;
      startAnother();
    },
    stop,
    async close() {
      await stop();
      await Promise.allSettled(all.map(({ receiver }) => receiver.close()));
    },
  };
}

function isFull({ unsettled, stop }: Running): boolean {
  return unsettled >= UNSETTLED_AT_MOST || !stop;
}
