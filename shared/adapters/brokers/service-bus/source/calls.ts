import { within } from "../../../support/within.ts";
import { noAnswer } from "../errors.ts";
import { type AnyReceiver, type CallOptions, type Ending, type Management, managementOf } from "./sdk-link.ts";

/** Calls about single locks, by their tokens, whatever link a message came over. All of them throw ServiceBusError, or what says that no answer came. */
export interface Calls {
  settle(lockToken: string, ending: Ending, withinMs: number): Promise<void>;
  /** Locks anew; until when, in milliseconds since 1970. */
  renew(lockToken: string): Promise<number>;
  /** Ends those under way: for what was lost with its connection the SDK waits a minute. */
  connectionLost(): void;
}

const CALL_MS = 5_000;

/** `receiver`: one of the connection that there is now. */
export function createCalls(receiver: () => AnyReceiver | undefined): Calls {
  const underWay = new Set<AbortController>();
  const call = async <T>(withinMs: number, work: (management: Management, options: CallOptions) => Promise<T>): Promise<T> => {
    const timeoutInMs = Math.min(CALL_MS, withinMs);
    const current = receiver();
    if (!current) throw noAnswer();
    const ending = new AbortController();
    underWay.add(ending);
    try {
      return await within(timeoutInMs, work(managementOf(current), { timeoutInMs, abortSignal: ending.signal }), noAnswer);
    } finally {
      ending.abort();
      underWay.delete(ending);
    }
  };
  return {
    settle: (lockToken, ending, withinMs) =>
      call(withinMs, (management, options) => management.updateDispositionStatus(lockToken, ending, options)),
    async renew(lockToken) {
      return (await call(CALL_MS, (management, options) => management.renewLock(lockToken, options))).getTime();
    },
    connectionLost() {
      for (const ending of underWay) ending.abort();
    },
  };
}
