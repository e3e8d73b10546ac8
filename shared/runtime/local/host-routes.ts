import type { Composition } from "../compose.ts";
import { healthRoutes, indexProbe, type Probe, sourceProbes, storeProbes } from "../http/health-routes.ts";
import { defineRoute, type Route } from "../http/route.ts";
import { type Metrics, PROMETHEUS_TYPE } from "../telemetry/metrics.ts";

/** Whether the host lives, whether its ports answer, and what it measured. */
export function hostRoutes(composition: Composition, metrics: Metrics): Route[] {
  return [
    ...healthRoutes(() => probes(composition), composition.clock),
    defineRoute({
      method: "GET",
      path: "/metrics",
      operationId: "getMetrics",
      summary: "What was counted and measured, as Prometheus text",
      tags: ["Host"],
      access: "admin",
      quiet: true,
      responses: { 200: { description: "Metrics.", contentType: PROMETHEUS_TYPE } },
      handler: async () => ({ text: await metrics.render(), headers: { "content-type": PROMETHEUS_TYPE } }),
    }),
  ];
}

function probes({ index, jobs, embedded, pipelines, collections, sources }: Composition): Record<string, Probe> {
  return {
    index: indexProbe(index, collections),
    jobs: () => jobs.list({ limit: 1 }),
    broker: async () => (await embedded()).topics(),
    ...storeProbes(pipelines.values()),
    ...sourceProbes(sources),
  };
}
