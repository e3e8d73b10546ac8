import { setTimeout as sleep } from "node:timers/promises";
import { mapConcurrently } from "../../../../core/concurrency.ts";
import { amqpErrorOf, isLost, isLostCondition, noAnswer } from "../errors.ts";
import { guidOf } from "../lock-token.ts";
import type { Calls } from "./calls.ts";
import type { Lock } from "./locks.ts";
import type { AmqpError, Ending } from "./sdk-link.ts";

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

/** Settles locks, over their links where these are there still. All of them are ended afterwards, whatever came of it. */
export type Settle = (locks: readonly Lock[], ending: Ending, withinMs: number) => Promise<Settled>;

const APART_AT_ONCE = 64;
/** For what its link did not settle, whatever time that has taken. */
const APART_AT_LEAST_MS = 1_000;
const AGAIN_MS = 100;

export function createSettling(calls: Calls, end: (lock: Lock) => void): Settle {
  /** By its token; tried until it is settled, lost, or the time is over. */
  const settleApart = async (lock: Lock, ending: Ending, untilMs: number, settled: Settled): Promise<void> => {
    for (let error: unknown = noAnswer(); ; await sleep(AGAIN_MS)) {
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) {
        settled.error = error;
        return end(lock);
      }
      try {
        await calls.settle(guidOf(lock.ackId), ending, leftMs);
        settled.count++;
        return end(lock);
      } catch (failure) {
        if (isLost(failure)) return end(lock);
        error = failure;
      }
    }
  };
  return async (locks, ending, withinMs) => {
    const settled: Settled = { count: 0, error: undefined };
    if (locks.length === 0) return settled;
    const startedMs = performance.now();
    const apart = await overLinks(locks, ending, withinMs, settled, end);
    const untilMs = Math.max(startedMs + withinMs, performance.now() + APART_AT_LEAST_MS);
    await mapConcurrently(apart, APART_AT_ONCE, (lock) => settleApart(lock, ending, untilMs, settled));
    return settled;
  };
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
