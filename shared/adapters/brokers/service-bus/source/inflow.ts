import type { Health } from "../../../support/pulling/health.ts";
import { noAnswer } from "../errors.ts";
import type { Budget } from "./budget.ts";
import type { Link } from "./link.ts";
import type { Lock } from "./locks.ts";
import type { AnyReceiver, Transfer } from "./sdk-link.ts";

/** What brings the messages of a source: a queue or subscription, or its sessions. */
export interface Inflow {
  readonly health: Health;
  /** Whether messages can come as far as is known. */
  readonly isOpen: boolean;
  /** Whether nothing is to be looked after. */
  readonly isQuiet: boolean;
  /** One of the connection that there is now. */
  receiver(): AnyReceiver | undefined;
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
  /** A link is gone: calls that were under way may have gone with it. */
  onConnection(): void;
  readonly budget: Budget;
}

/** What shows a broker that takes connections and answers nothing: the SDK waits a minute for it, and says nothing. */
export interface Silence {
  answered(): void;
  /** Counts a long silence as failures. */
  look(): void;
}

/** A session with messages is waited for this long at the broker, and others may be no slower than that. */
const SILENT_MS = 15_000;

export function createSilence(health: Health): Silence {
  let answeredMs = performance.now();
  return {
    answered() {
      answeredMs = performance.now();
    },
    look() {
      if (performance.now() - answeredMs >= SILENT_MS && !health.failure()) health.failed(noAnswer());
    },
  };
}
