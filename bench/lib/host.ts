import { spawn } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startArguments } from "./start-command.ts";

/** A server in a process of its own. */
export interface Server {
  url: string;
  /** Milliseconds from the start of the process until it answered. */
  startMs: number;
  readonly pid: number;
  stop(): Promise<void>;
}

/** The local host; `startMs` is until `/healthz` answered. */
export interface Host extends Server {
  /** Milliseconds from the start of the process until it took calls. */
  readyMs: number;
}

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const POLL_MS = 3;
const START_LIMIT_MS = 30_000;
const SHOWN_STDERR = 4_000;

/** Starts the local host as `npm start` does, without the sample, and waits until it takes calls. Throws where it does not start. */
export async function startHost(dataDir: string, environment: Record<string, string> = {}): Promise<Host> {
  const startedMs = performance.now();
  const settings = { PERSISTOR_DATA_DIR: dataDir, PERSISTOR_SAMPLE: "off", ...environment };
  const server = await startServer(startArguments(), "/healthz", settings);
  while (!(await answers(`${server.url}/readyz`))) {
    if (performance.now() - startedMs > START_LIMIT_MS) {
      await server.stop();
      throw new Error("starting the local host: it lives, but does not become ready");
    }
    await sleep(POLL_MS);
  }
  return { ...server, readyMs: performance.now() - startedMs };
}

/** Starts a Node process that serves on `PORT`, and waits until `path` answers. Throws where it does not. */
export async function startServer(args: readonly string[], path: string, environment: Record<string, string>): Promise<Server> {
  const port = await freePort();
  const startedMs = performance.now();
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...withoutSettings(process.env), ...environment, PORT: String(port) },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const exited = once(child, "exit").finally(() => process.off("exit", kill));
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-SHOWN_STDERR);
  });
  const url = `http://127.0.0.1:${port}`;
  while (!(await answers(url + path))) {
    const waitedMs = performance.now() - startedMs;
    if (child.exitCode !== null || waitedMs > START_LIMIT_MS) {
      kill();
      throw new Error(`starting ${args.join(" ")}: no answer after ${Math.round(waitedMs)} ms\n${said}`);
    }
    await sleep(POLL_MS);
  }
  return {
    url,
    startMs: performance.now() - startedMs,
    pid: child.pid as number,
    async stop() {
      child.kill("SIGTERM");
      await exited;
    },
  };
}

/** The bench's own environment must not change what is measured. */
function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith("PERSISTOR_") && name !== "HOST"));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (typeof address !== "object" || !address) throw new Error("looking for a free port: the server has no address");
  return address.port;
}

function answers(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request(url, { agent: false }, (response) => {
      response.resume();
      const { statusCode = 0 } = response;
      resolve(statusCode >= 200 && statusCode < 300);
    });
    asked.on("error", () => resolve(false));
    asked.end();
  });
}

/** Calls the host; a body goes as JSON. Throws where the answer is none of 2xx. */
export async function call<T>(url: string, method = "GET", body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const content = body === undefined ? {} : { "content-type": "application/json" };
  const response = await fetch(url, {
    method,
    body: body === undefined ? undefined : JSON.stringify(body),
    headers: { ...content, ...headers },
  });
  if (!response.ok) throw new Error(`calling ${method} ${url}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}
