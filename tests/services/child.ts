import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** A real service that runs as a child process. */
export interface Service {
  /** Ends it at once (SIGKILL to its whole group). */
  stop(): Promise<void>;
  /** Process id of its group. */
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

/**
 * Runs a command under a shell that ends it when its own standard input ends: nothing outlives a test run, however that run ended.
 * `$0` is what the group's processes are called in the list of processes.
 */
const GUARD = '"$@" </dev/null & child=$!; cat >/dev/null; kill -9 $child 2>/dev/null';
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
  const running: Service = { pid: child.pid as number, output: () => output, stop: () => stop(child) };
  const deadline = Date.now() + (service.readyWithinMs ?? 60_000);
  while (!(await service.isReady().catch(() => false))) {
    if (Date.now() > deadline) {
      await running.stop();
      throw new Error(`starting ${service.name}: not ready in time; its output:\n${output}`);
    }
    await sleep(POLL_MS);
  }
  return running;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
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
