import { mapConcurrently } from "../../core/concurrency.ts";
import { errorText } from "../../core/errors.ts";
import type { Log } from "../../core/ports/log.ts";
import type { Delivery, Source } from "../../core/ports/source.ts";
import type { Settlement } from "./settlement.ts";

const AT_ONCE = 64;
/** DEADLINE_EXCEEDED and UNAVAILABLE (https://grpc.io/docs/guides/status-codes/). */
const UNANSWERED: ReadonlySet<unknown> = new Set([4, 14]);

/**
 * Settles deliveries one by one, their `ackId` being lock tokens; messages of a session are under one lock together. What fails is logged, once for
 * all: such messages come again when their locks end.
 */
export function settledBy(settlement: Settlement, isOfSessions: boolean, log: Log): Pick<Source, "acknowledge" | "release" | "extend"> {
  const each = async (keys: readonly string[], call: (key: string) => Promise<void>, failure: string): Promise<number> => {
    const errors: unknown[] = [];
    let count = 0;
    await mapConcurrently(keys, AT_ONCE, async (key) => {
      // A host that does not answer is not asked for a thousand others, one after the other.
      if (errors.some(isUnanswered)) return;
      try {
        await call(key);
        count++;
      } catch (error) {
        errors.push(error);
      }
    });
    if (errors.length > 0) log.warn(failure, { failed: keys.length - count, error: errorText(errors[0]) });
    return count;
  };
  const tokensOf = (deliveries: readonly Delivery[]) => deliveries.map(({ ackId }) => ackId);
  return {
    acknowledge: (deliveries) => each(tokensOf(deliveries), settlement.complete, "settling messages failed; they come again"),
    release: async () => undefined,
    async extend(deliveries) {
      const [keys, renew] = isOfSessions ? [sessionsOf(deliveries), settlement.renewSession] : [tokensOf(deliveries), settlement.renewLock];
      await each(keys, renew, "renewing locks failed; the messages may come again");
    },
  };
}

function sessionsOf(deliveries: readonly Delivery[]): string[] {
  return [...new Set(deliveries.map(({ message }) => message.orderingKey))].filter((id) => id !== "");
}

function isUnanswered(error: unknown): boolean {
  return UNANSWERED.has((error as { code?: unknown } | null)?.code);
}
