import { mapConcurrently } from "../../core/concurrency.ts";
import { errorText } from "../../core/errors.ts";
import type { Log } from "../../core/ports/log.ts";
import type { Delivery, Source } from "../../core/ports/source.ts";
import type { Settlement } from "./settlement.ts";

const AT_ONCE = 64;
/** DEADLINE_EXCEEDED and UNAVAILABLE (https://grpc.io/docs/guides/status-codes/). */
const UNANSWERED: ReadonlySet<unknown> = new Set([4, 14]);

/** Settles deliveries one by one, their `ackId` being lock tokens. What fails is logged, once for all: such messages come again when their locks end. */
export function settledBy(settlement: Settlement, log: Log): Pick<Source, "acknowledge" | "release" | "extend"> {
  const each = async (deliveries: readonly Delivery[], call: (lockToken: string) => Promise<void>, failure: string): Promise<number> => {
    const errors: unknown[] = [];
    let count = 0;
    await mapConcurrently(deliveries, AT_ONCE, async ({ ackId }) => {
      // A host that does not answer is not asked for a thousand others, one after the other.
      if (errors.some(isUnanswered)) return;
      try {
        await call(ackId);
        count++;
      } catch (error) {
        errors.push(error);
      }
    });
    if (errors.length > 0) log.warn(failure, { messages: deliveries.length - count, error: errorText(errors[0]) });
    return count;
  };
  return {
    acknowledge: (deliveries) => each(deliveries, settlement.complete, "settling messages failed; they come again"),
    release: async () => undefined,
    extend: async (deliveries) => void (await each(deliveries, settlement.renewLock, "renewing locks failed; the messages may come again")),
  };
}

function isUnanswered(error: unknown): boolean {
  return UNANSWERED.has((error as { code?: unknown } | null)?.code);
}
