import type { Outcome } from "../core/persist/persist.ts";
import type { Meter } from "../core/ports/meter.ts";
import type { Delivery, Source } from "../core/ports/source.ts";
import { backOffMs } from "../core/retry.ts";

const BACK_OFF = { firstDelayMs: 1_000, maxDelayMs: 60_000 } as const;

/** Acknowledges what is stored or dead-lettered and releases the rest, the later the more often it came. Throws BrokerError. */
export async function settle(
  source: Pick<Source, "acknowledge" | "release">,
  deliveries: readonly Delivery[],
  outcomes: readonly Outcome[],
  meter: Meter,
): Promise<void> {
  const done: Delivery[] = [];
  const byDelay = new Map<number, Delivery[]>();
  deliveries.forEach((delivery, i) => {
    if (outcomes[i]?.kind === "stored" || outcomes[i]?.kind === "dead-lettered") {
      done.push(delivery);
      return;
    }
    const delayMs = backOffMs(delivery.attempt, BACK_OFF);
    const released = byDelay.get(delayMs);
    if (released) released.push(delivery);
    else byDelay.set(delayMs, [delivery]);
  });
  if (done.length > 0) await source.acknowledge(done);
  if (done.length < deliveries.length) meter.add("persistor.messages.released", deliveries.length - done.length);
  for (const [delayMs, released] of byDelay) await source.release(released, delayMs);
}
