import { writeSync } from "node:fs";
import { type AzureHostOptions, startAzureHost } from "./host.ts";

/*
 * The host as a process of its own, which can be killed like a machine:
 *   node tests/services/azure-host/main.ts '<options as JSON>'
 * Prints what the host prints; ends gracefully on SIGTERM.
 */

const options: Omit<AzureHostOptions, "onLine"> = JSON.parse(process.argv[2] as string);
const host = await startAzureHost({ ...options, onLine: (line) => writeSync(1, `${line}\n`) });
process.on("SIGTERM", () => void host.terminate().then(() => process.exit(0)));
