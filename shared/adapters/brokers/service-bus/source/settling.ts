import { setTimeout as sleep } from "node:timers/promises";
import type { ServiceBusReceiver } from "@azure/service-bus";
import { mapConcurrently } from "../../../../core/concurrency.ts";
import { BrokerError } from "../../../../core/errors.ts";
import { amqpErrorOf, isLost, isLostCondition } from "../errors.ts";
import { guidOf, type Lock } from "./locks.ts";
import { type AmqpError, type Ending, settleApart } from "./sdk-link.ts";

/** Settlements that are waited for together. */
export interface Run {
  /** The broker has settled one; `error` is why it did not as it was asked to. */
  answered(lock: Lock, error: AmqpError | undefined): void;
  /** No answer can come over its link. */
  unanswered(lock: Lock): void;
}

export interface Settled {
  /** How many were still ours. */
  count: number;
  /** Why some of the others could not be settled; undefined where their locks were lost. */
  error: unknown;
}

export interface Settling {
  /** Settles locks, over their links where these are there still. All of them are ended afterwards, whatever came of it. */
  settle(locks: readonly Lock[], ending: Ending, withinMs: number): Promise<Settled>;
  /** Calls that were under way have no answer to wait for. */
  connectionLost(): void;
}

const APART_AT_ONCE = 64;
/** For what its link did not settle, whatever time that has taken. */
const APART_AT_LEAST_MS = 1_000;
const TRY_MS = 5_000;
const AGAIN_MS = 100;

export function createSettling(end: (lock: Lock) => void): Settling {
  const calls = createCalls();
  /** By its token; tried until it is settled, lost, or the time is over. */
  const settleOneApart = async (lock: Lock, ending: Ending, untilMs: number, settled: Settled): Promise<void> => {
    const { receiver } = lock.link;
    for (;;) {
      try {
        const leftMs = Math.max(0, untilMs - performance.now());
        await calls.inTime(Math.min(leftMs, TRY_MS), settleApart(receiver as ServiceBusReceiver, guidOf(lock.ackId), ending));
        settled.count++;
        return end(lock);
      } catch (error) {
        const isOver = performance.now() + AGAIN_MS >= untilMs;
        if (isOver && !isLost(error)) settled.error = error;
        if (isOver || isLost(error)) return end(lock);
      }
      await sleep(AGAIN_MS);
    }
  };
  return {
    connectionLost: calls.end,
    async settle(locks, ending, withinMs) {
      const settled: Settled = { count: 0, error: undefined };
      if (locks.length === 0) return settled;
      const startedMs = performance.now();
      const apart = await overLinks(locks, ending, withinMs, settled, end);
      const untilMs = Math.max(startedMs + withinMs, performance.now() + APART_AT_LEAST_MS);
      await mapConcurrently(apart, APART_AT_ONCE, (lock) => settleOneApart(lock, ending, untilMs, settled));
      return settled;
    },
  };
}

/** Calls that the SDK leaves waiting when the connection they went over is gone. */
function createCalls() {
  const waiting = new Set<() => void>();
  return {
    end() {
      for (const fail of waiting) fail();
    },
    /** Rejects after `ms`, or when all are ended. */
    async inTime(ms: number, work: Promise<void>): Promise<void> {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const fail = () => reject(noAnswer());
      const timer = setTimeout(fail, ms);
      waiting.add(fail);
      work.then(resolve, reject);
      try {
        await promise;
      } finally {
        clearTimeout(timer);
        waiting.delete(fail);
      }
    },
  };
}

function noAnswer(): BrokerError {
  return new BrokerError("broker_unavailable", "Service Bus did not answer in time", { retryable: true });
}

/** Returns those that could not be settled over their links, and may be by their tokens. */
async function overLinks(
  locks: readonly Lock[],
  ending: Ending,
  withinMs: number,
  settled: Settled,
  end: (lock: Lock) => void,
): Promise<Lock[]> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const apart: Lock[] = [];
  let left = locks.length;
  /** Nobody asks for its settlement again. */
  const giveUp = (lock: Lock, error: unknown) => {
    settled.error = error;
    lock.link.isDoomed = true;
    end(lock);
  };
  const run: Run = {
    answered(lock, error) {
      lock.run = undefined;
      if (error && !isLostCondition(error) && !lock.link.isOfSession) apart.push(lock);
      else if (error && !isLostCondition(error)) giveUp(lock, amqpErrorOf(error));
      else {
        if (!error) settled.count++;
        end(lock);
      }
      if (--left === 0) resolve();
    },
    unanswered(lock) {
      lock.run = undefined;
      if (lock.link.isOfSession) end(lock);
      else apart.push(lock);
      if (--left === 0) resolve();
    },
  };
  for (const lock of locks) {
    lock.state = "settling";
    lock.run = run;
    lock.link.settle(lock, ending);
  }
  const timer = setTimeout(resolve, withinMs);
  await promise;
  clearTimeout(timer);
  for (const lock of locks) {
    if (lock.run !== run) continue;
    lock.run = undefined;
    giveUp(lock, noAnswer());
  }
  return apart;
}
