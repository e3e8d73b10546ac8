import type { RawReceiver } from "./raw-receiver.ts";

/** What has come over a link and was not taken yet. */
export interface Inbox<T> {
  put(item: T): void;
  /**
   * Waits up to `waitMs` for a first item, and takes with it what else comes within 20 ms, up to `max` in all; nothing where `signal` is
   * aborted or the link ends meanwhile.
   */
  take(link: RawReceiver, max: number, waitMs: number, signal: AbortSignal): Promise<T[]>;
}

/** Azure.Messaging.ServiceBus AmqpReceiver and Azure.Messaging.EventHubs AmqpConsumer: how long they wait for more once something is there. */
const MORE_MS = 20;

/**
 * `prefetchCount`: credit that the link always has. With 0 it has as much as a call asks for, and gives the rest back after it: nothing is
 * sent, and locked, before it is wanted.
 */
export function createInbox<T>(prefetchCount: number): Inbox<T> {
  const arrived: T[] = [];
  let notify = () => {};
  const until = (link: RawReceiver, ms: number, isDone: () => boolean, signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        notify = () => {};
        resolve();
      };
      const timer = setTimeout(end, ms);
      notify = () => isDone() && end();
      signal.addEventListener("abort", end);
      void link.closed.then(end);
      if (isDone() || signal.aborted) end();
    });
  return {
    put(item) {
      arrived.push(item);
      notify();
    },
    async take(link, max, waitMs, signal) {
      const wanted = Math.max(prefetchCount, max) - arrived.length - link.credit;
      if (wanted > 0) link.addCredit(wanted);
      await until(link, waitMs, () => arrived.length > 0, signal);
      if (arrived.length > 0) await until(link, MORE_MS, () => arrived.length >= max, signal);
      if (prefetchCount === 0) await link.drain();
      return arrived.splice(0, max);
    },
  };
}
