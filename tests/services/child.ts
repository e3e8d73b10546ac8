import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** A real service that runs as a child process. */
export interface Service {
  /** Ends it at once, by SIGKILL. */
  stop(): Promise<void>;
  /** Asks it to end, by SIGTERM, and waits until it has; returns its exit code. */
  terminate(): Promise<number | null>;
  /** Process id of the program itself. */
  readonly pid: number;
  /** What it wrote last, to standard output and error. */
  output(): string;
}

export interface ServiceCommand {
  /** For messages. */
  name: string;
  command: string;
  args: readonly string[];
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  /** Resolves to true as soon as it answers. */
  isReady(): Promise<boolean>;
  /** Default 60,000. */
  readyWithinMs?: number;
}

/** Runs a command under a shell that ends it when its own standard input ends: nothing outlives a test run, however that run ended. */
const GUARD = `
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
(cat <&3 >/dev/null; kill -9 $child) 2>/dev/null &
guard=$!
exec 3<&-
trap 'kill -TERM $child' TERM
wait $child; code=$?
while kill -0 $child 2>/dev/null; do wait $child; code=$?; done
kill -9 $guard 2>/dev/null
exit $code`;
const POLL_MS = 25;
const KEPT_OUTPUT = 20_000;

/** Starts a service and waits until it is ready. Throws with its output where it is not ready in time, or ends. */
export async function startService(service: ServiceCommand): Promise<Service> {
  const child = spawn("sh", ["-c", GUARD, service.name, service.command, ...service.args], {
    cwd: service.cwd,
    env: { ...process.env, ...service.env },
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (chunk: string) => {
      output = (output + chunk).slice(-KEPT_OUTPUT);
    });
  }
  child.on("exit", () => child.stdin?.destroy());
  const running: Service = {
    get pid() {
      return programOf(child);
    },
    output: () => output,
    stop: () => stop(child),
    terminate: () => terminate(child),
  };
  const deadline = Date.now() + (service.readyWithinMs ?? 60_000);
  while (!(await service.isReady().catch(() => false))) {
    if (Date.now() > deadline || hasEnded(child)) {
      await running.stop();
      throw new Error(`starting ${service.name}: ${hasEnded(child) ? "it ended" : "not ready in time"}; its output:\n${output}`);
    }
    await sleep(POLL_MS);
  }
  return running;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** The shell's first child. */
function programOf({ pid }: ChildProcess): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ")[0]);
}

async function terminate(child: ChildProcess): Promise<number | null> {
  if (hasEnded(child)) return child.exitCode;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
  return child.exitCode;
}

async function stop(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, "exit");
  try {
    process.kill(-(child.pid as number), "SIGKILL");
  } catch {
    return;
  }
  await ended;
}

/** A port of the loopback interface that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

/** Whether `url` answers with 2xx. */
export async function answers(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
  await response.arrayBuffer();
  return response.ok;
}
