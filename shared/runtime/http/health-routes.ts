import { z } from "zod";
import type { OpenedIndex } from "../../adapters/registry.ts";
import type { Clock } from "../../core/clock.ts";
import { errorText } from "../../core/errors.ts";
import { MATCH_ALL } from "../../core/filter/ast.ts";
import type { Pipeline } from "../../core/pipeline.ts";
import type { SourceStates } from "../source-states.ts";
import { HttpError } from "./problem.ts";
import { defineRoute, type Route } from "./route.ts";

/** A call of a port that a working adapter answers at once; a text is told beside. */
export type Probe = () => Promise<unknown>;

/** Probes an index, which may have something to tell. */
export function indexProbe(index: OpenedIndex, collections: () => readonly { name: string }[]): Probe {
  return async () => {
    await index.find(collections()[0]?.name ?? "none", { filter: MATCH_ALL, order: "publish", limit: 1, withoutAttributes: true });
    return index.advice?.();
  };
}

const READY_LIMIT_MS = 2_000;
const portDoc = z.object({ port: z.string(), ok: z.boolean(), detail: z.string().optional() });
const tags = ["Host"];

/** Whether the process lives, and whether its ports answer. */
export function healthRoutes(probes: () => Readonly<Record<string, Probe>>, clock: Clock): Route[] {
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
        const ports = await Promise.all(Object.entries(probes()).map(([port, probe]) => check(port, probe, clock)));
        const closed = ports.filter(({ ok }) => !ok).map(({ port }) => port);
        if (closed.length > 0) throw new HttpError(503, `not ready: ${closed.join(", ")}`, { members: { ports } });
        return { body: { ports } };
      },
    }),
  ];
}

/** Probes of the stores of pipelines. */
export function storeProbes(pipelines: Iterable<Pipeline>): Record<string, Probe> {
  const stores = new Map([...pipelines].map(({ store }) => [`store ${store.name}`, store.objects]));
  return Object.fromEntries(
    [...stores].map(([name, store]) => [name, async () => store.list("persistor-readiness/")[Symbol.asyncIterator]().next()]),
  );
}

/** What is known of the sources that are pulled from; none of them is asked. */
export function sourceProbes(sources: SourceStates): Record<string, Probe> {
  return Object.fromEntries(
    [...sources.failures()].map(([name, failure]) => [
      `source ${name}`,
      async () => {
        if (failure) throw failure;
      },
    ]),
  );
}

async function check(port: string, probe: Probe, clock: Clock): Promise<z.output<typeof portDoc>> {
  const answered = new AbortController();
  const late = clock.sleep(READY_LIMIT_MS, answered.signal).then(() => {
    throw new Error(`no answer within ${READY_LIMIT_MS} ms`);
  });
  try {
    const told = await Promise.race([probe(), late]);
    return { port, ok: true, ...(typeof told === "string" ? { detail: told } : {}) };
  } catch (error) {
    return { port, ok: false, detail: errorText(error) };
  } finally {
    late.catch(() => undefined);
    answered.abort();
  }
}
