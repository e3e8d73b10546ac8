import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errorText } from "../../core/errors.ts";
import type { Log } from "../../core/ports/log.ts";
import { systemClock } from "../clock.ts";
import { type Composition, compose } from "../compose.ts";
import type { Settings } from "../settings/settings.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { freeAbandoned } from "./abandoned.ts";
import { startFunctions } from "./functions.ts";
import { addGauges } from "./gauges.ts";
import { lockDataDir } from "./lock.ts";

/** The running local host. */
export interface LocalHost {
  url: string;
  composition: Composition;
  /** Takes no more requests, persists and settles what is held, closes everything. */
  close(): Promise<void>;
}

type Closing = () => unknown;

const CLOSE_DEADLINE_MS = 10_000;
const SECRET_FILE = "cursor-secret";

/** Opens everything that the settings name and serves it. Throws the adapters' errors, or the server's where the port is taken. */
export async function startHost(settings: Settings, log: Log): Promise<LocalHost> {
  const opened: Closing[] = [];
  try {
    return await openHost(settings, log, opened);
  } catch (error) {
    await closeAll(opened, log);
    throw error;
  }
}

/** What was opened is noted in `opened`, to be closed in the reverse order. */
async function openHost(settings: Settings, log: Log, opened: Closing[]): Promise<LocalHost> {
  const { startServer } = await import("../http/server.ts");
  let served = STARTING;
  const server = await startServer({ fetch: (request, bindings) => served.fetch(request, bindings) }, settings);
  opened.push(() => server.close(CLOSE_DEADLINE_MS));
  // The routes load while the databases open in their threads.
  const loading = import("./app.ts");
  const metrics = createMetrics();
  await mkdir(settings.dataDir, { recursive: true });
  const lock = lockDataDir(settings.dataDir);
  opened.push(() => lock.release());
  const composition = await compose(settings, { clock: systemClock, log, meter: metrics });
  opened.push(() => metrics.close());
  opened.push(() => composition.close());
  await freeAbandoned(composition);
  addGauges(metrics, composition);
  const functions = await startFunctions(composition);
  opened.push(() => functions.stop());
  // Once more, and now as the first: nothing comes in while the rest is closed.
  opened.push(() => server.close(CLOSE_DEADLINE_MS));
  const { createLocalApp } = await loading;
  const cursorSecret = settings.cursorSecret ?? (await keptSecret(settings.dataDir));
  const parts = { composition, broker: await composition.embedded(), runner: functions.runner, metrics, log, cursorSecret };
  served = createLocalApp({ ...parts, port: () => server.port });
  return { url: urlOf(settings.host, server.port), composition, close: () => closeAll(opened, log) };
}

interface Served {
  fetch(request: Request, bindings: unknown): Response | Promise<Response>;
}

/** Answers while the ports are being opened: the process lives, and everything else is to come again. */
const STARTING: Served = {
  fetch({ url }) {
    if (new URL(url).pathname === "/healthz") return Response.json({ status: "ok" });
    const problem = { type: "about:blank", title: "Unavailable", status: 503, detail: "the host is starting; repeat the request" };
    return Response.json(problem, { status: 503, headers: { "content-type": "application/problem+json", "retry-after": "1" } });
  },
};

function urlOf(host: string, port: number): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Closes everything, whatever fails on the way. */
async function closeAll(opened: Closing[], log: Log): Promise<void> {
  for (const close of opened.splice(0).reverse()) {
    try {
      await close();
    } catch (error) {
      log.error("closing a part of the host failed", { error: errorText(error) });
    }
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
