import { NO_LOG } from "../../shared/core/ports/log.ts";
import { systemClock } from "../../shared/runtime/clock.ts";
import { persistSource } from "../../shared/runtime/persist-source.ts";
import { createPorts } from "../../shared/runtime/ports.ts";
import { readSettings } from "../../shared/runtime/settings/settings.ts";
import { createMetrics } from "../../shared/runtime/telemetry/metrics.ts";
import type { Measure } from "./child.ts";
import { FLIGHTS } from "./flights.ts";
import { peakRssMb } from "./process-usage.ts";
import { type Usage, watchTopic } from "./watch.ts";
import { limitMsOf, within } from "./within.ts";

/** `count` messages wait in a topic. */
export interface PersistOrder {
  /** Of a program with one pipeline, `flights`, that reads the topic. */
  environment: Readonly<Record<string, string>>;
  topic: string;
  count: number;
}

export interface Persisted extends Usage {
  peakRssMb: number;
}

/** Persists `count` messages of a topic as the local host does, which runs more beside it, and fails unless each was stored and acknowledged. */
export const measure: Measure<PersistOrder, Persisted> = async ({ environment, topic, count }) => {
  const metrics = createMetrics();
  const watch = watchTopic(topic, count);
  const ports = createPorts(readSettings(environment), {
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
