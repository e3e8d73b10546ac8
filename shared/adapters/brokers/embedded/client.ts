import { BrokerError } from "../../../core/errors.ts";
import type { SqliteWorker } from "../../support/sqlite-worker.ts";
import { brokerErrorOf } from "./errors.ts";
import type { WakeUps } from "./wake-ups.ts";
import type { Writes } from "./writes.ts";

/** What the parts of an open broker share. */
export interface Client {
  readonly writes: Writes;
  readonly wakeUps: WakeUps;
  /** Aborted when the broker is closed. */
  readonly closing: AbortSignal;
  /** Calls the worker. Throws BrokerError. */
  call<T>(method: string, argument?: unknown): Promise<T>;
  /** Throws BrokerError `broker_unavailable` once the broker is closed. */
  checkOpen(): void;
}

export function createClient(worker: SqliteWorker, writes: Writes, wakeUps: WakeUps, closing: AbortSignal): Client {
  const checkOpen = () => {
    if (closing.aborted)
      throw new BrokerError("broker_unavailable", "using the embedded broker: it is closed; open it again", { retryable: true });
  };
  return {
    writes,
    wakeUps,
    closing,
    checkOpen,
    async call<T>(method: string, argument?: unknown) {
      checkOpen();
      try {
        return await worker.call<T>(method, argument);
      } catch (error) {
        throw brokerErrorOf(error, "calling the broker");
      }
    },
  };
}
