import { setTimeout as sleep } from "node:timers/promises";
import type { ServiceBusReceivedMessage, ServiceBusReceiver, ServiceBusSessionReceiver } from "@azure/service-bus";
import { createHealth } from "../../support/pulling/health.ts";
import { isHopeless } from "./errors.ts";
import type { Inflow } from "./source.ts";

export interface SessionsOptions {
  /** Waits for a session that nobody holds. Throws ServiceBusError `ServiceTimeout` where there is none. */
  accept(signal: AbortSignal): Promise<ServiceBusSessionReceiver>;
  /** Resolves once the message is settled. */
  onMessage(message: ServiceBusReceivedMessage, receiver: ServiceBusReceiver): Promise<void>;
  onFailure(): void;
}

const SESSIONS_AT_ONCE = 8;
const UNSETTLED_AT_MOST = 1_000;
/** A session without a message for this long makes room for another one. */
const IDLE_MS = 500;
const AGAIN_MS = 1_000;
const TOLERATED_FAILURES = 2;
/** No session is free: that is no failure. */
const NONE_FREE = new Set(["ServiceTimeout", "SessionCannotBeLocked"]);

/** Takes sessions as they become free, several at once, and each one's messages in their order. */
export function createSessions({ accept, onMessage, onFailure }: SessionsOptions): Inflow {
  const health = createHealth({ toleratedFailures: TOLERATED_FAILURES, isTransient: (error) => !isHopeless(error), onFailure });
  let stopping: AbortController | undefined;
  let running: Promise<void>[] = [];

  const takeSessions = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      try {
        const receiver = await accept(signal);
        health.succeeded();
        await readSession(receiver, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!NONE_FREE.has(String((error as { code?: unknown }).code))) health.failed(error);
        await pause(AGAIN_MS, signal);
      }
    }
  };
  /** Reads a session until it has been quiet, and all of it is settled. */
  const readSession = async (receiver: ServiceBusSessionReceiver, signal: AbortSignal): Promise<void> => {
    let unsettled = 0;
    let atMs = performance.now();
    let failure: unknown;
    const subscription = receiver.subscribe(
      {
        async processMessage(message) {
          unsettled++;
          await onMessage(message, receiver).finally(() => unsettled--);
          atMs = performance.now();
        },
        async processError({ error }) {
          failure = error;
        },
      },
      { autoCompleteMessages: false, maxConcurrentCalls: UNSETTLED_AT_MOST },
    );
    while (!failure && !signal.aborted && (unsettled > 0 || performance.now() - atMs < IDLE_MS)) await pause(IDLE_MS / 10, signal);
    await subscription.close();
    // Nothing more comes; what came is settled by others.
    while (!failure && unsettled > 0) await pause(IDLE_MS / 10);
    await receiver.close();
    if (failure && (failure as { code?: unknown }).code !== "SessionLockLost") throw failure;
  };
  const stop = async () => {
    stopping?.abort();
    stopping = undefined;
    health.succeeded();
  };
  return {
    health,
    start() {
      if (stopping) return;
      stopping = new AbortController();
      const { signal } = stopping;
      running = Array.from({ length: SESSIONS_AT_ONCE }, () => takeSessions(signal));
    },
    stop,
    async close() {
      await stop();
      await Promise.allSettled(running);
    },
  };
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return sleep(ms, undefined, { signal }).catch(() => undefined);
}
