import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errorText } from "../../core/errors.ts";
import type { Log } from "../../core/ports/log.ts";
import { systemClock } from "../clock.ts";
import { type Composition, compose } from "../compose.ts";
import type { Settings } from "../settings/settings.ts";
import { createMetrics, type Metrics } from "../telemetry/metrics.ts";
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
  const metrics = createMetrics();
  await mkdir(settings.dataDir, { recursive: true });
  const lock = lockDataDir(settings.dataDir);
  opened.push(() => lock.release());
  // The HTTP side loads while the databases open in their threads.
  const loading = import("./app.ts");
  const composition = await compose(settings, { clock: systemClock, log, meter: metrics });
  opened.push(() => metrics.close());
  opened.push(() => composition.close());
  await freeAbandoned(composition);
  addGauges(metrics, composition);
  const functions = await startFunctions(composition);
  opened.push(() => functions.stop());
  const { url, close } = await serve(await loading, composition, functions.runner, metrics, log);
  opened.push(close);
  return { url, composition, close: () => closeAll(opened, log) };
}

type AppModule = typeof import("./app.ts");
type Runner = Parameters<AppModule["createLocalApp"]>[0]["runner"];

async function serve({ createLocalApp, startServer }: AppModule, composition: Composition, runner: Runner, metrics: Metrics, log: Log) {
  const { settings, embedded } = composition;
  const cursorSecret = settings.cursorSecret ?? (await keptSecret(settings.dataDir));
  let { port } = settings;
  const app = createLocalApp({ composition, broker: await embedded(), runner, metrics, log, cursorSecret, port: () => port });
  const server = await startServer(app, { host: settings.host, port });
  port = server.port;
  const host = settings.host.includes(":") ? `[${settings.host}]` : settings.host;
  return { url: `http://${host}:${port}`, close: () => server.close(CLOSE_DEADLINE_MS) };
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
