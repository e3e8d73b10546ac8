import { fileURLToPath } from "node:url";
import { freePort, startService } from "../child.ts";
import type { InvocationCounts } from "./executor.ts";
import type { FunctionDescription } from "./functions.ts";
import type { AzureHostOptions } from "./host.ts";
import { type HostKeys, makeKeys } from "./http/keys.ts";

/** A host that runs as a process of its own, with its workers in its group. */
export interface AzureHostProcess {
  readonly url: string;
  readonly keys: HostKeys;
  /** Of the host itself. */
  readonly pid: number;
  functions(): Promise<readonly (FunctionDescription & { invocations: InvocationCounts })[]>;
  /** Ends host and workers at once, as a machine that goes down. */
  kill(): Promise<void>;
  /** Sends SIGTERM and waits until it has ended; returns its exit code. */
  terminate(): Promise<number | null>;
  output(): string;
}

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

/** Starts a host in a process of its own; resolves when its functions listen. */
export async function startAzureHostProcess(options: Omit<AzureHostOptions, "onLine">): Promise<AzureHostProcess> {
  const keys = makeKeys(options.keys);
  const port = options.port || (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const admin = (path: string) => fetch(`${url}/admin/${path}`, { headers: { "x-functions-key": keys.master } });
  const service = await startService({
    name: "azure-host",
    command: process.execPath,
    args: ["--disable-warning=ExperimentalWarning", MAIN, JSON.stringify({ ...options, keys, port })],
    async isReady() {
      const { state } = (await (await admin("host/status")).json()) as { state: string };
      return state === "Running";
    },
  });
  return {
    url,
    keys,
    get pid() {
      return service.pid;
    },
    functions: async () => (await admin("functions")).json() as Promise<(FunctionDescription & { invocations: InvocationCounts })[]>,
    kill: () => service.stop(),
    terminate: () => service.terminate(),
    output: () => service.output(),
  };
}
