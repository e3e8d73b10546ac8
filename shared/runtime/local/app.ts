import { queryRoutes } from "../../../functions/query/local.ts";
import { resubmitterRoutes } from "../../../functions/resubmit/local.ts";
import type { EmbeddedBroker } from "../../adapters/brokers/embedded/adapter.ts";
import type { Log } from "../../core/ports/log.ts";
import { adminRoutes } from "../admin/routes.ts";
import { createAuthorize } from "../auth/authorize.ts";
import type { Composition } from "../compose.ts";
import { createApp } from "../http/app.ts";
import { createHostGuard } from "../http/host-guard.ts";
import { API_INFO } from "../http/info.ts";
import type { JobRunner } from "../jobs/runner.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { brokerRoutes } from "./broker-verbs.ts";
import { hostRoutes } from "./host-routes.ts";

export interface LocalAppParts {
  composition: Composition;
  broker: EmbeddedBroker;
  runner: JobRunner;
  metrics: Metrics;
  log: Log;
  cursorSecret: string;
  /** The port that the server listens on. */
  port(): number;
}

/** The HTTP application of the local host: both APIs, maintenance, the broker's verbs and what every host answers. */
export function createLocalApp({ composition, broker, runner, metrics, log, cursorSecret, port }: LocalAppParts) {
  const { settings } = composition;
  return createApp({
    mounts: [
      { prefix: "/indexer", routes: queryRoutes(composition, cursorSecret) },
      { prefix: "/resubmitter", routes: resubmitterRoutes(composition, runner) },
      { prefix: "/admin", routes: adminRoutes(composition, runner) },
      { prefix: "", routes: [...brokerRoutes(broker), ...hostRoutes(composition, metrics)] },
    ],
    authorize: createAuthorize(settings.auth),
    hostGuard: createHostGuard({ port, allowedHosts: settings.allowedHosts }),
    info: API_INFO,
    log,
    metrics,
  });
}
