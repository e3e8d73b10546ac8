import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { until } from "./support-local.ts";

const ROOT = join(import.meta.dirname, "..", "..");

/** `npm start` as a process of its own. */
export interface HostProcess {
  child: ChildProcess;
  /** From the printed line. */
  url: string;
  /** What it has printed so far. */
  output(): string;
  errors(): string;
  /** Resolves when the text was printed; throws where the process ended before. */
  printed(text: string): Promise<void>;
  ended: Promise<{ code: number | null; signal: string | null }>;
  /** Sends the signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<{ code: number | null; signal: string | null }>;
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<{ status: number; body: Json }>;
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every form
type Json = any;

const running = new Set<ChildProcess>();

/** Starts a host on a free port, without waiting for it. */
export function spawnHost(dataDir: string, environment: Record<string, string> = {}): HostProcess {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(PERSISTOR_|PORT$|HOST$)/.test(name)));
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", "scripts/start.js"], {
    cwd: ROOT,
    env: { ...inherited, PORT: "0", PERSISTOR_DATA_DIR: dataDir, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let output = "";
  let errors = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  let hasEnded = false;
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.on("close", (code, signal) => {
      hasEnded = true;
      running.delete(child);
      resolve({ code, signal });
    });
  });
  const host: HostProcess = {
    child,
    url: "",
    ended,
    output: () => output,
    errors: () => errors,
    async printed(text) {
      await until(`the host to print ${text}`, () => output.includes(text) || hasEnded);
      if (!output.includes(text)) throw new Error(`the host ended before it printed ${text}: ${output}\n${errors}`);
    },
    end(signal) {
      child.kill(signal);
      return ended;
    },
    async call(method, path, body, headers = {}) {
      const isLines = typeof body === "string";
      const content: Record<string, string> =
        body === undefined ? {} : { "content-type": isLines ? "application/x-ndjson" : "application/json" };
      const response = await fetch(host.url + path, {
        method,
        body: isLines || body === undefined ? (body as string | undefined) : JSON.stringify(body),
        headers: { ...content, ...headers },
      });
      return { status: response.status, body: await response.json() };
    },
  };
  return host;
}

/** Starts a host and waits until it listens. */
export async function startHostProcess(dataDir: string, environment: Record<string, string> = {}): Promise<HostProcess> {
  const host = spawnHost(dataDir, environment);
  await host.printed("Persistor listens on http");
  host.url = /Persistor listens on (http:\/\/\S+),/.exec(host.output())?.[1] ?? "";
  return host;
}

/** Ends those that a failed test left. */
export async function endLeftHosts(): Promise<void> {
  const left = [...running];
  for (const child of left) child.kill("SIGKILL");
  await until("the hosts to end", () => running.size === 0);
}
