import { z } from "zod";
import { errorText } from "../../core/errors.ts";
import type { Composition } from "../compose.ts";
import { HttpError } from "../http/problem.ts";
import { defineRoute, type Route } from "../http/route.ts";
import { type Metrics, PROMETHEUS_TYPE } from "../telemetry/metrics.ts";

const READY_LIMIT_MS = 2_000;
const portDoc = z.object({ port: z.string(), ok: z.boolean(), detail: z.string().optional() });
const tags = ["Host"];

/** Whether the host lives, whether its ports answer, and what it measured. */
export function hostRoutes(composition: Composition, metrics: Metrics): Route[] {
  return [
    defineRoute({
      method: "GET",
      path: "/healthz",
      operationId: "getHealth",
      summary: "Whether the process lives",
      tags,
      access: "public",
      quiet: true,
      responses: { 200: { description: "It lives.", schema: z.object({ status: z.literal("ok") }) } },
      handler: () => ({ body: { status: "ok" } }),
    }),
    defineRoute({
      method: "GET",
      path: "/readyz",
      operationId: "getReadiness",
      summary: "Whether every port answers",
      tags,
      access: "public",
      quiet: true,
      responses: { 200: { description: "All do. Else 503 names those that do not.", schema: z.object({ ports: z.array(portDoc) }) } },
      handler: async () => {
        const ports = await Promise.all(Object.entries(probes(composition)).map(([port, probe]) => check(port, probe, composition)));
        const closed = ports.filter(({ ok }) => !ok).map(({ port }) => port);
        if (closed.length > 0) throw new HttpError(503, `not ready: ${closed.join(", ")}`, { members: { ports } });
        return { body: { ports } };
      },
    }),
    defineRoute({
      method: "GET",
      path: "/metrics",
      operationId: "getMetrics",
      summary: "What was counted and measured, as Prometheus text",
      tags,
      access: "admin",
      quiet: true,
      responses: { 200: { description: "Metrics.", contentType: PROMETHEUS_TYPE } },
      handler: async () => ({ text: await metrics.render(), headers: { "content-type": PROMETHEUS_TYPE } }),
    }),
  ];
}

type Probe = () => Promise<unknown>;

/** A call of each port that every working adapter answers at once. */
function probes({ index, jobs, embedded, pipelines, collections }: Composition): Record<string, Probe> {
  const stores = new Map([...pipelines.values()].map(({ store }) => [`store ${store.name}`, store.objects]));
  return {
    index: () => index.get(collections()[0]?.name ?? "none", ["none"]),
    jobs: () => jobs.list({ limit: 1 }),
    broker: async () => (await embedded()).topics(),
    ...Object.fromEntries(
      [...stores].map(([name, store]) => [name, async () => store.list("persistor-readiness/")[Symbol.asyncIterator]().next()]),
    ),
  };
}

async function check(port: string, probe: Probe, { clock }: Composition): Promise<z.output<typeof portDoc>> {
  const answered = new AbortController();
  const late = clock.sleep(READY_LIMIT_MS, answered.signal).then(() => {
    throw new Error(`no answer within ${READY_LIMIT_MS} ms`);
  });
  try {
    await Promise.race([probe(), late]);
    return { port, ok: true };
  } catch (error) {
    return { port, ok: false, detail: errorText(error) };
  } finally {
    late.catch(() => undefined);
    answered.abort();
  }
}
