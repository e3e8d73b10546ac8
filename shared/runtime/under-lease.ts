import type { Clock } from "../core/clock.ts";
import { errorText } from "../core/errors.ts";
import type { Log } from "../core/ports/log.ts";
import type { Meter } from "../core/ports/meter.ts";
import type { Delivery, Source } from "../core/ports/source.ts";

export interface UnderLeaseDeps {
  clock: Clock;
  log: Log;
  meter: Meter;
}

/** Leases are prolonged well before they end, to this much from now. */
export const EXTEND_EVERY_MS = 20_000;
const EXTENDED_LEASE_MS = 60_000;

/**
 * Handles deliveries, and prolongs their leases meanwhile, each time `extendEveryMs` are over. What `handle` throws is logged: the messages come
 * again when their leases end.
 */
export async function handleUnderLease(
  deliveries: readonly Delivery[],
  source: Pick<Source, "extend">,
  handle: (deliveries: readonly Delivery[]) => Promise<unknown>,
  { clock, log, meter }: UnderLeaseDeps,
  extendEveryMs = EXTEND_EVERY_MS,
): Promise<void> {
  const startedMs = clock.nowMs();
  meter.add("messaging.client.consumed.messages", deliveries.length);
  const done = new AbortController();
  const keepLease = async () => {
    for (;;) {
      await clock.sleep(extendEveryMs, done.signal);
      if (done.signal.aborted) return;
      await source
        .extend(deliveries, EXTENDED_LEASE_MS)
        .catch((error) => log.warn("prolonging leases failed", { error: errorText(error) }));
    }
  };
  const kept = keepLease();
  try {
    await handle(deliveries);
  } catch (error) {
    log.error("handling a batch failed", { messages: deliveries.length, error: errorText(error) });
  } finally {
    done.abort();
    await kept;
    meter.record("messaging.process.duration", (clock.nowMs() - startedMs) / 1000);
  }
}
