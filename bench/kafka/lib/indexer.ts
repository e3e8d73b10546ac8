import { setTimeout as sleep } from "node:timers/promises";
import { NO_LOG } from "../../../shared/core/ports/log.ts";
import { systemClock } from "../../../shared/runtime/clock.ts";
import { type Composition, compose } from "../../../shared/runtime/compose.ts";
import { startFunctions } from "../../../shared/runtime/local/functions.ts";
import { readSettings } from "../../../shared/runtime/settings/settings.ts";
import { createMetrics } from "../../../shared/runtime/telemetry/metrics.ts";
import type { Measure } from "../../lib/child.ts";
import { FLIGHTS } from "../../lib/flights.ts";
import type { Persisted, PersistOrder } from "../../lib/persister.ts";
import { peakRssMb } from "../../lib/process-usage.ts";
import { watchTopic } from "../../lib/watch.ts";
import { limitMsOf, within } from "../../lib/within.ts";

export interface Indexed extends Persisted {
  /** Until the last commit at Kafka. */
  committedMs: number;
}

const POLL_MS = 20;

/** Runs what the local host runs behind its server, until `count` messages of a topic are stored, committed and queryable. */
export const measure: Measure<PersistOrder, Indexed> = async ({ environment, topic, count }) => {
  const metrics = createMetrics();
  const watch = watchTopic(topic, count);
  const composition = await compose(readSettings(environment), {
    clock: systemClock,
    log: NO_LOG,
    meter: metrics,
    wrap: { source: watch.wrap },
  });
  const functions = await startFunctions(composition);
  const { ms: committedMs } = await within(limitMsOf(count), `persisting ${count} messages`, watch.settled);
  await within(limitMsOf(count), `indexing ${count} messages`, untilSettled(composition));
  const result = { ...watch.usage(), committedMs, peakRssMb: peakRssMb() };
  const [summary] = await composition.index.summarize(FLIGHTS, { op: "all", of: [] });
  if (summary?.count !== count) throw new Error(`indexing ${count} messages: ${summary?.count} are in the index`);
  await functions.stop();
  await composition.close();
  await metrics.close();
  return result;
};

/** An index record is settled once it is in the index. */
async function untilSettled({ embedded }: Composition): Promise<void> {
  const broker = await embedded();
  while ((await broker.topics()).some(({ subscriptions }) => subscriptions.some(({ backlog }) => backlog > 0))) await sleep(POLL_MS);
}
