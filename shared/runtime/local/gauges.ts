import { OPEN_STATES } from "../../core/ports/job-store.ts";
import type { Composition } from "../compose.ts";
import type { Metrics } from "../telemetry/metrics.ts";

const JOBS_COUNTED = 1_000;

/** What of the ports is looked up at each scrape: how much waits in each subscription, and how many jobs are open. */
export function addGauges(metrics: Metrics, { embedded, jobs }: Composition): void {
  metrics.gauge("persistor.subscription.backlog", async () => {
    const topics = await (await embedded()).topics();
    return topics.flatMap(({ name: topic, subscriptions }) =>
      subscriptions.map(({ name: subscription, backlog }) => ({ value: backlog, attributes: { topic, subscription } })),
    );
  });
  metrics.gauge("persistor.job.open", async () => [{ value: (await jobs.list({ states: OPEN_STATES, limit: JOBS_COUNTED })).length }]);
}
