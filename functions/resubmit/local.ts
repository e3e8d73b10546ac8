import type { Composition } from "../../shared/runtime/compose.ts";
import type { Route } from "../../shared/runtime/http/route.ts";
import type { JobDriver } from "../../shared/runtime/jobs/driver.ts";
import { jobRoutes } from "../../shared/runtime/resubmitter/job-routes.ts";
import { resubmitRoutes } from "../../shared/runtime/resubmitter/resubmit-routes.ts";

/** The Resubmitter API of the local host. */
export function resubmitterRoutes(composition: Composition, driver: JobDriver): Route[] {
  return [...resubmitRoutes(composition, driver), ...jobRoutes(composition, driver)];
}
