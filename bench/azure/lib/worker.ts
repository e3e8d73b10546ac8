import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { HostLog } from "../../../tests/services/azure-host/host-log.ts";
import { startWorker, type Worker } from "../../../tests/services/azure-host/worker-process.ts";

/** The built function app. */
export const APP = fileURLToPath(new URL("../../../dist/azure", import.meta.url));

const APP_SETTINGS = new URL("../../../local.settings.example.json", import.meta.url);
/** Nothing settles by gRPC here. */
const NO_GRPC = { host: "127.0.0.1", port: 1 };

/** Starts a Node worker on an app as the Functions host does, with Node's arguments that a deployment sets. */
export function startAppWorker(appDir: string, env: Readonly<Record<string, string>>, log: HostLog): Worker {
  return startWorker({ appDir, env, log, grpc: NO_GRPC, longs: "number", nodeArgs: nodeArguments() });
}

function nodeArguments(): string[] {
  const { Values } = JSON.parse(readFileSync(APP_SETTINGS, "utf8")) as { Values: { languageWorkers__node__arguments: string } };
  return Values.languageWorkers__node__arguments.split(" ");
}
