import { mapConcurrently } from "../../../core/concurrency.ts";
import type { Log } from "../../../core/ports/log.ts";
import { isLost } from "./errors.ts";
import type { Open } from "./open-deliveries.ts";

/** Looks after the locks of what is open: renews them while they are wanted, and gives back what is wanted no more. */
export interface Leases {
  readonly open: ReadonlySet<Open>;
  add(open: Open): void;
  /** Forgets what is settled or lost; its receiver may take another. */
  end(open: Open): void;
  /** Gives messages back to Service Bus, at once. */
  giveBack(opens: readonly Open[]): Promise<void>;
  stop(): void;
}

const LOOK_EVERY_MS = 250;
/** A lock is renewed once no more than this part of it, as it was given, is left. */
const RENEW_AT_PART = 0.5;
const CALLS_AT_ONCE = 64;

export function createLeases(log: Log): Leases {
  const all = new Set<Open>();
  const busy = new Set<Open>();
  const lockMs = new Map<Open, number>();
  let looking: NodeJS.Timeout | undefined;

  const end = (open: Open) => {
    if (!all.delete(open)) return;
    lockMs.delete(open);
    open.state = "ended";
    open.done();
    if (all.size === 0) stop();
  };
  const stop = () => {
    clearInterval(looking);
    looking = undefined;
  };
  const renew = async (open: Open): Promise<void> => {
    try {
      open.lockedUntilMs = (await open.receiver.renewMessageLock(open.received)).getTime();
    } catch (error) {
      // A lock that could not be renewed may hold still; one that is lost brings the message again.
      if (isLost(error)) end(open);
      else log.warn("prolonging a lock of Service Bus failed", { error });
    }
  };
  const giveBack = async (opens: readonly Open[]): Promise<void> => {
    await mapConcurrently(opens, CALLS_AT_ONCE, async (open) => {
      // What cannot be given back now comes again when its lock ends.
      if (all.has(open)) await open.receiver.abandonMessage(open.received).catch(() => undefined);
      end(open);
    });
  };
  const look = async (): Promise<void> => {
    const nowMs = Date.now();
    const due = [...all].filter(
      (open) => !busy.has(open) && (open.leaseUntilMs <= nowMs || isDueForRenewal(open, lockMs.get(open), nowMs)),
    );
    for (const open of due) busy.add(open);
    await mapConcurrently(due, CALLS_AT_ONCE, async (open) => {
      if (open.leaseUntilMs <= nowMs) await giveBack([open]);
      else await renew(open);
      busy.delete(open);
    });
  };
  return {
    open: all,
    add(open) {
      all.add(open);
      lockMs.set(open, Math.max(0, open.lockedUntilMs - Date.now()));
      looking ??= setInterval(() => void look(), LOOK_EVERY_MS);
    },
    end,
    giveBack,
    stop,
  };
}

function isDueForRenewal({ receiver, lockedUntilMs, leaseUntilMs }: Open, lockMs: number | undefined, nowMs: number): boolean {
  // The lock of a session is renewed by its receiver.
  if ("sessionId" in receiver) return false;
  return leaseUntilMs > lockedUntilMs && lockedUntilMs - nowMs <= (lockMs ?? 0) * RENEW_AT_PART;
}
