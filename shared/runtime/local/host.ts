import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { queryRoutes } from "../../../functions/query/local.ts";
import { resubmitterRoutes } from "../../../functions/resubmit/local.ts";
import { errorText } from "../../core/errors.ts";
import type { Log } from "../../core/ports/log.ts";
import { adminRoutes } from "../admin/routes.ts";
import { createAuthorize } from "../auth/authorize.ts";
import { systemClock } from "../clock.ts";
import { type Composition, compose } from "../compose.ts";
import { createApp } from "../http/app.ts";
import { createHostGuard } from "../http/host-guard.ts";
import { startServer } from "../http/server.ts";
import type { Settings } from "../settings/settings.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { freeAbandoned } from "./abandoned.ts";
import { brokerRoutes } from "./broker-verbs.ts";
import { startFunctions } from "./functions.ts";
import { addGauges } from "./gauges.ts";
import { hostRoutes } from "./host-routes.ts";
import { lockDataDir } from "./lock.ts";

/** The running local host. */
export interface LocalHost {
  url: string;
  composition: Composition;
  /** True where the data folder held nothing before this start. */
  wasEmpty: boolean;
  /** Takes no more requests, persists and settles what is held, closes everything. */
  close(): Promise<void>;
}

const INFO = { title: "Persistor", version: "0.1.0", description: "Queries what was archived and sends it again." };
const CLOSE_DEADLINE_MS = 10_000;
const SECRET_FILE = "cursor-secret";

/** Opens everything that the settings name and serves it. Throws the adapters' errors, or the server's where the port is taken. */
export async function startHost(settings: Settings, log: Log): Promise<LocalHost> {
  const metrics = createMetrics();
  await mkdir(settings.dataDir, { recursive: true });
  const wasEmpty = (await readdir(settings.dataDir)).length === 0;
  const lock = lockDataDir(settings.dataDir);
  const composition = await compose(settings, { clock: systemClock, log, meter: metrics });
  try {
    await freeAbandoned(composition);
    addGauges(metrics, composition);
    const functions = await startFunctions(composition);
    const broker = await composition.embedded();
    const cursorSecret = settings.cursorSecret ?? (await keptSecret(settings.dataDir));
    let port = settings.port;
    const app = createApp({
      mounts: [
        { prefix: "/indexer", routes: queryRoutes(composition, cursorSecret) },
        { prefix: "/resubmitter", routes: resubmitterRoutes(composition, functions.runner) },
        { prefix: "/admin", routes: adminRoutes(composition, functions.runner) },
        { prefix: "", routes: [...brokerRoutes(broker), ...hostRoutes(composition, metrics)] },
      ],
      authorize: createAuthorize(settings.auth),
      hostGuard: createHostGuard({ port: () => port, allowedHosts: settings.allowedHosts }),
      info: INFO,
      log,
      metrics,
    });
    const server = await startServer(app, { host: settings.host, port: settings.port });
    port = server.port;
    return {
      url: `http://${settings.host.includes(":") ? `[${settings.host}]` : settings.host}:${port}`,
      composition,
      wasEmpty,
      async close() {
        await server.close(CLOSE_DEADLINE_MS);
        await functions.stop();
        await composition.close();
        await metrics.close();
        lock.release();
      },
    };
  } catch (error) {
    await composition.close().catch((cause) => log.error("closing after a failed start", { error: errorText(cause) }));
    lock.release();
    throw error;
  }
}

/** The key that signs cursors: made once, so that cursors outlive a restart. */
async function keptSecret(dataDir: string): Promise<string> {
  const file = join(dataDir, SECRET_FILE);
  try {
    await writeFile(file, randomBytes(32).toString("base64url"), { flag: "wx", mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  return readFile(file, "utf8");
}
