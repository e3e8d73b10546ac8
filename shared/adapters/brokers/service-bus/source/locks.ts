import type { Delivery } from "../../../../core/ports/source.ts";
import type { Link } from "./link.ts";
import type { Transfer } from "./sdk-link.ts";
import type { Run } from "./settling.ts";

/** A message that Service Bus has locked for us. Times are those of `performance.now()`. */
export interface Lock {
  readonly link: Link;
  /** Undefined once its link keeps no place for it: it is settled by its token then. */
  transfer: Transfer | undefined;
  /** Its token, the bytes as they came, in hex. */
  ackId: string;
  /** Of the message that is kept for it. */
  readonly bytes: number;
  /** `held`: not handed over yet; `out`: handed over; `delayed`: to be given back at the end of its lease. */
  state: "held" | "out" | "delayed" | "settling" | "ended";
  /** Until when we want it; then it is given back. */
  leaseUntilMs: number;
  /** How long it is locked each time. */
  readonly lockMs: number;
  lockedUntilMs: number;
  /** What its settlement belongs to. */
  run: Run | undefined;
}

/** A lock and what it hands over, in one: there are thousands at a time. */
export interface ServiceBusDelivery extends Delivery, Lock {}

/** Service Bus locks for 5 s to 5 min; shorter ones are taken for a clock that is not ours. */
const LOCK_MS = { least: 1_000, most: 300_000 } as const;

/** How long a lock lasts that ends at this time of the broker's clock. */
export function lockMsOf(untilMs: number): number {
  return Math.min(LOCK_MS.most, Math.max(LOCK_MS.least, untilMs - Date.now()));
}
