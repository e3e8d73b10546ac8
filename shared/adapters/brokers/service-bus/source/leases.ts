import { setTimeout as sleep } from "node:timers/promises";
import { mapConcurrently } from "../../../../core/concurrency.ts";
import type { Log } from "../../../../core/ports/log.ts";
import { isLost } from "../errors.ts";
import { guidOf } from "../lock-token.ts";
import type { Budget } from "./budget.ts";
import type { Calls } from "./calls.ts";
import { type Lock, lockMsOf, type ServiceBusDelivery } from "./locks.ts";
import { createSettling, type Settle } from "./settling.ts";

/** Looks after the locks: renews them while they are wanted, and gives back what is wanted no more. */
export interface Leases {
  settle: Settle;
  readonly size: number;
  has(lock: Lock): boolean;
  add(lock: Lock): void;
  /** Forgets what is settled or lost. */
  end(lock: Lock): void;
  /** Keeps the lock for `delayMs` and gives it back then; the message is not kept. */
  delay(delivery: ServiceBusDelivery, delayMs: number): void;
  /** Gives messages back to Service Bus. What cannot be given back comes again when its lock ends. */
  giveBack(locks: readonly Lock[]): Promise<void>;
  giveAllBack(): Promise<void>;
  /** To be called several times a second. */
  look(): void;
}

export interface LeasesOptions {
  budget: Budget;
  calls: Calls;
  log: Log;
  onEnded(): void;
}

/** A lock is renewed when no more than this part of it is left. */
const RENEW_AT_PART = 0.5;
const RENEWED_AT_ONCE = 64;
const RENEW_AGAIN_MS = 1_000;
const GIVE_BACK_MS = 2_000;

export function createLeases({ budget, calls, log, onEnded }: LeasesOptions): Leases {
  const all = new Set<Lock>();
  let isRenewing = false;
  let wasAway = false;

  const end = (lock: Lock) => {
    if (!all.delete(lock)) return;
    lock.state = "ended";
    lock.link.drop(lock);
    budget.free(lock.bytes);
    budget.end();
    onEnded();
  };
  const settle = createSettling(calls, end);
  const giveBack = async (locks: readonly Lock[]): Promise<void> => {
    await settle(
      locks.filter((lock) => all.has(lock) && lock.state !== "settling"),
      "abandon",
      GIVE_BACK_MS,
    );
  };
  const renewOne = async (lock: Lock): Promise<boolean> => {
    try {
      const untilMs = await calls.renew(guidOf(lock.ackId));
      lock.lockedUntilMs = performance.now() + lockMsOf(untilMs);
      return true;
    } catch (error) {
      if (isLost(error)) end(lock);
      return isLost(error);
    }
  };
  /** One that fails is a sign for all: they are due still, and are tried a second later. */
  const renew = async (due: readonly Lock[]): Promise<void> => {
    isRenewing = true;
    let isAway = false;
    await mapConcurrently(due, RENEWED_AT_ONCE, async (lock) => {
      if (!isAway && isWanted(lock) && !(await renewOne(lock))) isAway = true;
    });
    if (isAway && !wasAway) log.warn("prolonging locks of Service Bus failed", { locks: due.length });
    wasAway = isAway;
    if (isAway) await sleep(RENEW_AGAIN_MS);
    isRenewing = false;
  };
  return {
    settle,
    get size() {
      return all.size;
    },
    has: (lock) => all.has(lock),
    add: (lock) => void all.add(lock),
    end,
    delay(delivery, delayMs) {
      const leaseUntilMs = performance.now() + delayMs;
      const { link, transfer, ackId, lockMs, lockedUntilMs } = delivery;
      const lock: Lock = { link, transfer, ackId, bytes: 0, state: "delayed", leaseUntilMs, lockMs, lockedUntilMs, run: undefined };
      delivery.state = "ended";
      all.delete(delivery);
      all.add(lock);
      link.replace(lock);
      budget.free(delivery.bytes);
      onEnded();
    },
    giveBack,
    giveAllBack: () => giveBack([...all]),
    look() {
      const nowMs = performance.now();
      const over: Lock[] = [];
      const due: Lock[] = [];
      for (const lock of all) {
        if (lock.state === "settling") continue;
        if (wasAway && !lock.link.isOfSession && lock.lockedUntilMs <= nowMs) end(lock);
        else if (lock.leaseUntilMs <= nowMs) over.push(lock);
        else if (!isRenewing && isDue(lock, nowMs)) due.push(lock);
      }
      if (over.length > 0) void giveBack(over);
      if (due.length > 0) void renew(due);
    },
  };
}

function isDue({ link, lockMs, lockedUntilMs, leaseUntilMs }: Lock, nowMs: number): boolean {
  if (link.isOfSession) return false;
  return leaseUntilMs > lockedUntilMs && lockedUntilMs - nowMs <= lockMs * RENEW_AT_PART;
}

function isWanted({ state, leaseUntilMs }: Lock): boolean {
  return state !== "ended" && state !== "settling" && leaseUntilMs > performance.now();
}
