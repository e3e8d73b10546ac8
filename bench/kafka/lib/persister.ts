import { NO_LOG } from "../../../shared/core/ports/log.ts";
import { systemClock } from "../../../shared/runtime/clock.ts";
import { persistSource } from "../../../shared/runtime/persist-source.ts";
import { createPorts } from "../../../shared/runtime/ports.ts";
import { readSettings } from "../../../shared/runtime/settings/settings.ts";
import { createMetrics } from "../../../shared/runtime/telemetry/metrics.ts";
import type { Measure } from "../../lib/child.ts";
import { FLIGHTS } from "../../lib/flights.ts";
import { peakRssMb } from "../../lib/process-usage.ts";
import { environmentOf, type FlightsOrder } from "./settings.ts";
import { type Usage, watchTopic } from "./watch.ts";
import { limitMsOf, within } from "./within.ts";

export interface PersistOrder extends FlightsOrder {
  count: number;
}

export interface Persisted extends Usage {
  peakRssMb: number;
}

/** As `functions/persist/local.ts` has it. */

/** Persists `count` messages of a topic as the local host does, which runs more beside it, and fails unless each was stored and committed. */
export const measure: Measure<PersistOrder, Persisted> = async ({ count, ...order }) => {
  const metrics = createMetrics();
  const watch = watchTopic(order.topic, count);
  const ports = createPorts(readSettings(environmentOf(order, false)), {
    clock: systemClock,
    log: NO_LOG,
    meter: metrics,
    wrap: { source: watch.wrap },
  });
  const pipeline = await ports.pipeline(FLIGHTS);
  const source = await ports.openSource(FLIGHTS);
  const stopping = new AbortController();
  const persisting = persistSource(pipeline, source, ports, { signal: stopping.signal });
  const usage = await within(limitMsOf(count), `persisting ${count} messages`, watch.settled);
  const result = { ...usage, peakRssMb: peakRssMb() };
  stopping.abort();
  const { stored } = await persisting;
  if (stored !== count) throw new Error(`persisting ${count} messages: ${stored} were stored`);
  await source.close();
  await ports.close();
  await metrics.close();
  return result;
};
