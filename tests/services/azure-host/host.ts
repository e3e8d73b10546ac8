import { runApp } from "./app.ts";
import { createExecutor, type InvocationCounts } from "./executor.ts";
import type { FunctionDescription } from "./functions.ts";
import { readHostJson } from "./host-json.ts";
import { createHostLog, logLevelOf } from "./host-log.ts";
import { type HostKeys, makeKeys } from "./http/keys.ts";
import type { LongForm } from "./rpc.ts";
import { startSettlementServer } from "./service-bus/settlement.ts";
import { startWebServer } from "./web.ts";
import { startWorker, type Worker } from "./worker-process.ts";

export interface AzureHostOptions {
  /** The built app: host.json, package.json with `main`, and what its modules need. */
  appDir: string;
  /** The app settings. The worker sees these, and of the machine what Node needs. */
  env: Readonly<Record<string, string>>;
  /** Default 1. HTTP requests and events go to them in turns; each runs the brokers' listeners; timers run on the first. */
  instances?: number;
  /** Default: a free one. */
  port?: number;
  /** Default: fresh random ones. */
  keys?: Partial<HostKeys>;
  /** False: timers run only where the admin API says so. Default true. */
  timers?: boolean;
  /** How long an HTTP request may take. Default 230,000. */
  httpLimitMs?: number;
  /** How 64-bit numbers come in a batch's metadata. Default `number`. */
  longs?: LongForm;
  /** Where the Event Hubs trigger keeps its checkpoints where the app setting `AzureWebJobsStorage` is not set. */
  stateDir?: string;
  /** What the host's identity is let in by where a connection is `<name>__fullyQualifiedNamespace`. */
  identityToken?: string;
  /** Of the workers. */
  nodeArgs?: readonly string[];
  /** Told of every line that the host prints. */
  onLine?(line: string): void;
}

export interface AzureHost {
  readonly url: string;
  readonly keys: HostKeys;
  readonly functions: readonly FunctionDescription[];
  /** By function name. */
  invocations(): Readonly<Record<string, InvocationCounts>>;
  workerPid(instance?: number): number | undefined;
  /** Ends a worker at once, by SIGKILL: what ran on it fails, and another takes its place. */
  killWorker(instance?: number): Promise<void>;
  /** As on SIGTERM: nothing new is taken, what runs may end within `graceMs` (default 30,000), then the workers end after their hooks. */
  terminate(graceMs?: number): Promise<void>;
  /** Ends all of it at once; nothing is settled or checkpointed any more. */
  stop(): Promise<void>;
  /** What the host and its workers printed last. */
  output(): string;
}

const HTTP_LIMIT_MS = 230_000;
const GRACE_MS = 30_000;
/** azure-functions-host WorkerTerminate: how long the worker may take for its hooks. */
const WORKER_GRACE_MS = 5_000;

/** Starts a function app; resolves when its functions listen, or when it is clear that the app cannot run: its output tells why. */
export async function startAzureHost(options: AzureHostOptions): Promise<AzureHost> {
  const { appDir, env, instances = 1, port = 0, longs = "number", nodeArgs = [] } = options;
  const hostJson = await readHostJson(appDir, env);
  const log = createHostLog(logLevelOf(hostJson.defaultLogLevel) ?? "information", options.onLine);
  const keys = makeKeys(options.keys);
  const web = await startWebServer(port, keys, log);
  const settlement = await startSettlementServer();
  const grpc = { host: "127.0.0.1", port: settlement.port };
  const workers = Array.from({ length: instances }, () => startWorker({ appDir, env, grpc, longs, log, nodeArgs }));
  const executor = createExecutor(log, hostJson.functionTimeoutMs);
  const { timers = true, httpLimitMs = HTTP_LIMIT_MS } = options;
  const { stateDir, identityToken } = options;
  const app = await runApp({
    ...{ env, hostJson, log, keys, workers, executor, timers, httpLimitMs, settlement, stateDir, identityToken, appDir },
  });
  if (app.web) web.serve(app.web);
  const end = async () => {
    web.closeNow();
    await app.stop("abort");
    settlement.stop();
  };
  return {
    url: web.url,
    keys,
    functions: app.functions,
    invocations: () => executor.counts(),
    workerPid: (instance = 0) => workers[instance]?.pid,
    killWorker: async (instance = 0) => workers[instance]?.kill(),
    async terminate(graceMs = GRACE_MS) {
      log.write("information", "Host", "Application is shutting down.");
      const drained = drain([web.close(), app.stop("drain")], () => executor.idle());
      await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, graceMs).unref())]);
      await endWorkers(workers, WORKER_GRACE_MS);
      await end();
    },
    async stop() {
      await Promise.all([endWorkers(workers, 0), end()]);
    },
    output: () => log.output(),
  };
}

async function drain(closing: readonly Promise<void>[], idle: () => Promise<void>): Promise<void> {
  await Promise.all(closing);
  await idle();
}

const endWorkers = (workers: readonly Worker[], graceMs: number) => Promise.all(workers.map((worker) => worker.terminate(graceMs)));
