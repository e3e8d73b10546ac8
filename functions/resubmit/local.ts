import type { Composition } from "../../shared/runtime/compose.ts";
import type { Route } from "../../shared/runtime/http/route.ts";
import type { JobRunner } from "../../shared/runtime/jobs/runner.ts";
import { jobRoutes } from "../../shared/runtime/resubmitter/job-routes.ts";
import { resubmitRoutes } from "../../shared/runtime/resubmitter/resubmit-routes.ts";

/** The Resubmitter API of the local host. */
export function resubmitterRoutes(composition: Composition, runner: JobRunner): Route[] {
  return [...resubmitRoutes(composition, runner), ...jobRoutes(composition, runner)];
}
