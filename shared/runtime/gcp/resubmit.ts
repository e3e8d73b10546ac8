import type { HttpFunction } from "@google-cloud/functions-framework";
import { adminRoutes } from "../admin/routes.ts";
import { composed } from "../compose.ts";
import type { FunctionProcess } from "../function-process.ts";
import { healthRoutes, indexProbe, storeProbes } from "../http/health-routes.ts";
import { handedOver } from "../jobs/handed-over.ts";
import { jobRoutes } from "../resubmitter/job-routes.ts";
import { resubmitRoutes } from "../resubmitter/resubmit-routes.ts";
import { workTarget } from "../work-topic.ts";
import { apiHandler } from "./api.ts";

/** The Resubmitter API and maintenance as a function; what a request has no time for goes to the work topic. */
export function resubmitterApi(process: FunctionProcess): HttpFunction {
  return apiHandler(process, async () => {
    const composition = await composed(process);
    const driver = handedOver(composition, () => workTarget(process));
    const { index, jobs, clock, collections, pipelines } = composition;
    const probes = {
      index: indexProbe(index, collections),
      jobs: () => jobs.list({ limit: 1 }),
      ...storeProbes(pipelines.values()),
    };
    return [
      { prefix: "/resubmitter", routes: [...resubmitRoutes(composition, driver), ...jobRoutes(composition, driver)] },
      { prefix: "/admin", routes: adminRoutes(composition, driver) },
      { prefix: "", routes: healthRoutes(() => probes, clock) },
    ];
  });
}
