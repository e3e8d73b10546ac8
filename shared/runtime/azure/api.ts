import { randomUUID } from "node:crypto";
import { PersistorError } from "../../core/errors.ts";
import { signedCursors } from "../../core/query/cursor.ts";
import { createQueries } from "../../core/query/queries.ts";
import { adminRoutes } from "../admin/routes.ts";
import { createAuthorize } from "../auth/authorize.ts";
import { composed } from "../compose.ts";
import type { FunctionProcess } from "../function-process.ts";
import { createApp } from "../http/app.ts";
import { healthRoutes, indexProbe, storeProbes } from "../http/health-routes.ts";
import { indexerRoutes } from "../http/indexer/routes.ts";
import { API_INFO } from "../http/info.ts";
import { PROBLEM_TYPE, problemOf } from "../http/problem.ts";
import type { Mount } from "../http/route.ts";
import { handedOver } from "../jobs/handed-over.ts";
import { openedOnce } from "../opened-once.ts";
import { jobRoutes } from "../resubmitter/job-routes.ts";
import { resubmitRoutes } from "../resubmitter/resubmit-routes.ts";
import { workTarget } from "../work-topic.ts";

/** Longer than a synchronous resubmission takes, and shorter than Azure waits for an answer (230 seconds). */
const LIMIT_MS = 60_000;

/** All HTTP APIs as one function of requests; what they need is opened at the first one, and again where that failed. Never throws. */
export function createAzureApi(process: FunctionProcess): (request: Request) => Promise<Response> {
  const { settings, log, meter } = process;
  const open = openedOnce(async () =>
    createApp({
      mounts: await mountsOf(process),
      authorize: createAuthorize(settings.auth),
      info: API_INFO,
      log,
      metrics: meter,
      limitMs: LIMIT_MS,
    }),
  );
  return async (request) => {
    try {
      return await (await open()).fetch(request);
    } catch (error) {
      const id = randomUUID();
      const { headers, problem } = problemOf(error, id);
      log.error("opening what the APIs need failed", { id, error });
      return Response.json(
        { ...problem, status: 503, title: "Unavailable" },
        { status: 503, headers: { ...headers, "content-type": PROBLEM_TYPE, "x-request-id": id } },
      );
    }
  };
}

async function mountsOf(process: FunctionProcess): Promise<Mount[]> {
  const { settings, clock, collections } = process;
  if (settings.cursorSecret === undefined)
    throw new PersistorError("settings_invalid", "starting the Indexer API: set PERSISTOR_CURSOR_SECRET, the same for every instance");
  const composition = await composed(process);
  const { index, jobs, pipelines } = composition;
  const driver = handedOver(composition, () => workTarget(process));
  const queries = createQueries({ index, clock, cursors: signedCursors(settings.cursorSecret) });
  const probes = { index: indexProbe(index, collections), jobs: () => jobs.list({ limit: 1 }), ...storeProbes(pipelines.values()) };
  return [
    { prefix: "/indexer", routes: indexerRoutes({ queries, collections }) },
    { prefix: "/resubmitter", routes: [...resubmitRoutes(composition, driver), ...jobRoutes(composition, driver)] },
    { prefix: "/admin", routes: adminRoutes(composition, driver) },
    { prefix: "", routes: healthRoutes(() => probes, clock) },
  ];
}
