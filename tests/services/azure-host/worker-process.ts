import { type ChildProcess, fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { HostLog } from "./host-log.ts";
import type { HostMessage, LongForm, RpcInvocationRequest, RpcInvocationResponse, StartedApp, WorkerMessage } from "./rpc.ts";

/** The Node worker of one instance; another process takes over where one ends. */
export interface Worker {
  readonly pid: number | undefined;
  /** Resolves when a process has loaded the app. */
  started(): Promise<StartedApp>;
  /** Rejects where the function throws, or the process ends before it answered. */
  invoke(request: RpcInvocationRequest): Promise<RpcInvocationResponse>;
  /** Ends the process at once; the next one starts. */
  kill(): Promise<void>;
  /** Lets the app's `appTerminate` hooks run, and ends the process after `graceMs` where it has not ended by itself. */
  terminate(graceMs: number): Promise<void>;
}

export interface WorkerOptions {
  appDir: string;
  env: Readonly<Record<string, string>>;
  /** Where the settlement service listens: the worker's extensions read it from their arguments. */
  grpc: { host: string; port: number };
  nodeArgs?: readonly string[];
  longs: LongForm;
  log: HostLog;
}

const MAIN = fileURLToPath(new URL("worker/main.ts", import.meta.url));
const HOST_VERSION = "4.1040.300";
/** What a Node process needs of the machine itself. */
const PASSED_ENV = ["PATH", "HOME", "TMPDIR", "LANG", "TZ", "METADATA_SERVER_DETECTION"];
const RESTART_PAUSE_MS = 100;
/** azure-functions-host gives up on a worker that does not come up so often. */
const MAX_FAILED_STARTS = 3;

interface Pending {
  resolve(response: RpcInvocationResponse): void;
  reject(error: Error): void;
}

interface Run {
  child: ChildProcess;
  pending: Map<string, Pending>;
  started: Promise<StartedApp>;
  hasStarted: boolean;
}

export function startWorker(options: WorkerOptions): Worker {
  let isEnding = false;
  let failedStarts = 0;
  let run = startRun(options, onExit);
  function onExit(ended: Run): void {
    for (const { reject } of ended.pending.values()) reject(new Error("the worker process ended"));
    ended.pending.clear();
    failedStarts = ended.hasStarted ? 0 : failedStarts + 1;
    if (isEnding) return;
    const { pid, signalCode, exitCode } = ended.child;
    options.log.write("error", "Host", `Worker process ${pid} ended (${signalCode ?? exitCode}).`);
    if (failedStarts < MAX_FAILED_STARTS) setTimeout(restart, RESTART_PAUSE_MS);
    else options.log.write("error", "Host", `Worker process did not start ${MAX_FAILED_STARTS} times; giving up.`);
  }
  function restart(): void {
    if (!isEnding) run = startRun(options, onExit);
  }
  /** Waits over restarts: invocations are held back for the next process. */
  const started = async () => {
    while (!isEnding && failedStarts < MAX_FAILED_STARTS) {
      const app = hasEnded(run.child) ? undefined : await run.started.catch(() => undefined);
      if (app) return app;
      await sleep(RESTART_PAUSE_MS);
    }
    throw new Error(isEnding ? "the host is ending" : "the worker process did not start");
  };
  return {
    get pid() {
      return run.child.pid;
    },
    started,
    async invoke(request) {
      await started();
      const { child, pending } = run;
      return new Promise((resolve, reject) => {
        pending.set(request.invocationId, { resolve, reject });
        post(child, { kind: "invoke", request });
      });
    },
    async kill() {
      const { child } = run;
      if (hasEnded(child)) return;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
    async terminate(graceMs) {
      isEnding = true;
      await terminateChild(run.child, graceMs);
    },
  };
}

function startRun(options: WorkerOptions, onExit: (run: Run) => void): Run {
  const { appDir, env, log, longs } = options;
  const child = fork(MAIN, argumentsOf(options.grpc), {
    cwd: appDir,
    env: { ...passedEnv(), ...platformEnv(appDir), ...env },
    execArgv: ["--disable-warning=ExperimentalWarning", ...(options.nodeArgs ?? [])],
    serialization: "advanced",
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  for (const stream of [child.stdout, child.stderr]) {
    if (stream) createInterface({ input: stream }).on("line", (line) => log.write("information", "Console", line));
  }
  const pending = new Map<string, Pending>();
  const { promise: started, resolve, reject } = Promise.withResolvers<StartedApp>();
  started.catch(() => {});
  const run = { child, pending, started, hasStarted: false };
  child.on("message", (message: WorkerMessage) => {
    if (message.kind !== "started") return onMessage(message, pending, log);
    run.hasStarted = true;
    resolve(message);
  });
  child.on("exit", () => {
    reject(new Error("the worker process ended while it started"));
    onExit(run);
  });
  post(child, { kind: "init", appDir, hostVersion: HOST_VERSION, longs });
  return run;
}

function onMessage(message: Exclude<WorkerMessage, { kind: "started" }>, pending: Map<string, Pending>, log: HostLog): void {
  if (message.kind === "log") {
    const category = message.logCategory === "user" ? `${message.category}.User` : "Worker";
    log.write(message.level, category, message.message);
    return;
  }
  const id = message.kind === "succeeded" ? message.response.invocationId : message.invocationId;
  const waiting = pending.get(id);
  pending.delete(id);
  if (message.kind === "succeeded") waiting?.resolve(message.response);
  else waiting?.reject(Object.assign(new Error(message.message), { stack: message.stack }));
}

const post = (child: ChildProcess, message: HostMessage): void => {
  // Where the process has ended meanwhile, its `exit` event tells.
  if (child.connected) child.send(message, () => {});
};

/** As the host starts its workers (azure-functions-host RpcWorkerProcess); each option twice, by its older and by its newer name. */
function argumentsOf({ host, port }: WorkerOptions["grpc"]): string[] {
  const workerId = randomUUID();
  const requestId = randomUUID();
  const maxMessageLength = "2147483647";
  return [
    ...[
      "--host",
      host,
      "--port",
      String(port),
      "--workerId",
      workerId,
      "--requestId",
      requestId,
      "--grpcMaxMessageLength",
      maxMessageLength,
    ],
    ...["--functions-uri", `http://${host}:${port}/`, "--functions-worker-id", workerId, "--functions-request-id", requestId],
    ...["--functions-grpc-max-message-length", maxMessageLength],
  ];
}

const passedEnv = () =>
  Object.fromEntries(PASSED_ENV.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));

const platformEnv = (appDir: string) => ({
  FUNCTIONS_WORKER_RUNTIME: "node",
  FUNCTIONS_EXTENSION_VERSION: "~4",
  AzureWebJobsScriptRoot: appDir,
});

const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;

async function terminateChild(child: ChildProcess, graceMs: number): Promise<void> {
  if (hasEnded(child)) return;
  // `close` comes when all that it printed has been read.
  const ended = once(child, "close");
  if (graceMs > 0) post(child, { kind: "terminate" });
  const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
  await ended;
  clearTimeout(timer);
}
