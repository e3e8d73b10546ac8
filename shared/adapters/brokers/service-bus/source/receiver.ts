import { setTimeout as sleep } from "node:timers/promises";
import type { MessageHandlers, ServiceBusReceiver } from "@azure/service-bus";
import { BrokerError } from "../../../../core/errors.ts";
import { endsWithin } from "../../../support/within.ts";
import type { InflowEvents } from "./inflow.ts";
import { createLink, type Link } from "./link.ts";
import { drain, linkOf } from "./sdk-link.ts";

/** A receiver of the SDK, whose link is taken over each time it opens one. */
export interface Receiver {
  readonly sdk: ServiceBusReceiver;
  /** Undefined until one is open for the first time. */
  readonly link: Link | undefined;
  /** Whether its link may be asked for messages. */
  readonly isFlowing: boolean;
  /** When, by `performance.now()`, it was last seen to be open, or the SDK to try. */
  readonly aliveMs: number;
  /** Does nothing where it receives. Throws what the SDK throws. */
  start(): void;
  /** Ends within seconds; false where the broker does not answer. */
  stop(): Promise<boolean>;
  look(): void;
  /** Closes its link, whose messages are settled by their tokens then. Ends within seconds; false where the broker does not answer. */
  close(): Promise<boolean>;
}

export interface ReceiverOptions {
  sdk: ServiceBusReceiver;
  events: InflowEvents;
  onOpened(): void;
  onFailed(error: unknown): void;
}

const STOP_WITHIN_MS = 1_000;
const CLOSE_WITHIN_MS = 5_000;
const ANSWERED_LOOK_MS = 20;

export function createReceiver({ sdk, events, onOpened, onFailed }: ReceiverOptions): Receiver {
  let link: Link | undefined;
  let isFlowing = false;
  let aliveMs = performance.now();
  let running: { stopping: AbortController; close(): Promise<void> } | undefined;

  const look = () => {
    if (!link) return;
    if (link.isOpen()) aliveMs = performance.now();
    const hadSome = link.locks.size > 0;
    link.look();
    if (hadSome && !link.isOpen()) events.onConnection();
  };
  /** The SDK has opened a link, for the first time or again, or goes on with the one that it has. */
  const takeLink = () => {
    const amqpLink = linkOf(sdk);
    if (!amqpLink) throw new BrokerError("unsupported", "receiving from Service Bus: its library does not show its links");
    if (link?.amqpLink !== amqpLink) {
      look();
      link = createLink({ amqpLink, isOfSession: false, ...events });
    }
    isFlowing = true;
    onOpened();
  };
  const handlersUntil = ({ signal }: AbortController): MessageHandlers & { postInitialize(): Promise<void> } => ({
    async postInitialize() {
      if (!signal.aborted) takeLink();
    },
    async processMessage() {
      throw new BrokerError("unsupported", "receiving from Service Bus: its library keeps messages to itself");
    },
    async processError({ error }) {
      if (signal.aborted) return;
      aliveMs = performance.now();
      onFailed(error);
    },
  });
  const stop = async (): Promise<boolean> => {
    const ending = running;
    running = undefined;
    isFlowing = false;
    if (!ending) return true;
    ending.stopping.abort();
    if (link && !(await drain(link.amqpLink))) return false;
    return endsWithin(STOP_WITHIN_MS, ending.close());
  };
  return {
    sdk,
    get link() {
      return link;
    },
    get isFlowing() {
      return isFlowing;
    },
    get aliveMs() {
      return aliveMs;
    },
    start() {
      if (running) return;
      aliveMs = performance.now();
      const stopping = new AbortController();
      const options = { autoCompleteMessages: false, maxConcurrentCalls: 1, abortSignal: stopping.signal };
      running = { stopping, ...sdk.subscribe(handlersUntil(stopping), options) };
    },
    stop,
    look,
    async close() {
      const isStopped = await stop();
      link?.leave();
      const untilMs = performance.now() + CLOSE_WITHIN_MS;
      while (link?.isOpen() && link.locks.size > 0 && performance.now() < untilMs) await sleep(ANSWERED_LOOK_MS);
      const isClosed = isStopped && (await endsWithin(CLOSE_WITHIN_MS, sdk.close()));
      look();
      return isClosed;
    },
  };
}
