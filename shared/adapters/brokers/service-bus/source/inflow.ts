import type { Health } from "../../../support/pulling/health.ts";
import type { Budget } from "./budget.ts";
import type { Link } from "./link.ts";
import type { Lock } from "./locks.ts";
import type { Transfer } from "./sdk-link.ts";

/** What brings the messages of a source: a queue or subscription, or its sessions. */
export interface Inflow {
  readonly health: Health;
  /** Whether messages can come as far as is known. */
  readonly isOpen: boolean;
  /** Whether nothing is to be looked after. */
  readonly isQuiet: boolean;
  start(): void;
  /** Stops receiving; what was received can still be settled. It can be started again. */
  stop(): Promise<void>;
  /** Asks for more messages where there is room. */
  refill(): void;
  /** To be called several times a second. */
  look(): void;
  /** Ends within seconds. */
  close(): Promise<void>;
}

/** What an inflow tells its source. */
export interface InflowEvents {
  onMessage(bytes: Buffer, transfer: Transfer, link: Link): void;
  onLost(lock: Lock): void;
  /** Whether something has failed, or messages can come now. */
  onChange(): void;
  /** A link was opened, or one is gone. */
  onConnection(): void;
  readonly budget: Budget;
}
