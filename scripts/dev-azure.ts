import { type AzureCloud, azureCloudMissing, startAzureCloud } from "../tests/services/azure-cloud.ts";
import { ensureBundles } from "../tests/services/bundles.ts";
import { fetchPrograms } from "../tests/services/programs.ts";

// `npm run dev:azure`: Azure's parts on this machine, and the function app in a local host that drives its triggers, until Ctrl-C.

const PORTS = { http: 7071, storage: 10000, serviceBus: 5672, mongodb: 27027 };

const place = { kind: "azure-blob", container: "lake", prefix: "raw" };
const besides = { index: { broker: "service-bus", collection: "orders" }, deadLetter: { broker: "service-bus" } };
const PIPELINES = {
  orders: {
    source: { broker: "service-bus", topic: "orders", subscription: "archive" },
    store: { ...place, path: "{topic}/{year}/{month}/{day}/type={attribute:type}" },
    ...besides,
  },
  clicks: {
    source: { broker: "event-hubs", topic: "clicks", subscription: "archive" },
    store: { ...place, path: "{topic}/{year}/{month}/{day}/{hour}" },
    ...besides,
    index: { ...besides.index, collection: "clicks" },
  },
  grid: {
    source: { broker: "event-grid", topic: "grid" },
    store: { ...place, path: "{topic}/{year}/{month}/{day}" },
    ...besides,
    index: { ...besides.index, collection: "grid" },
  },
};
const DESTINATIONS = { replay: { broker: "service-bus", topic: "replay" }, clicks: { broker: "event-hubs", topic: "clicks" } };

await fetchPrograms((text) => console.log(text));
const missing = azureCloudMissing();
if (missing !== undefined) {
  console.error(`Azure's parts cannot run here: ${missing}`);
  process.exit(1);
}
console.log("Bundling the functions and starting Azure's parts …");
await ensureBundles();
let isStopping = false;
const stopped = new Promise<void>((resolve) => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
});
try {
  const cloud = await startAzureCloud({ pipelines: PIPELINES, destinations: DESTINATIONS, ports: PORTS, host: { onLine: tellFaults } });
  show(cloud);
  await stopped;
  isStopping = true;
  console.log("Stopping.");
  await cloud.stop();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
process.exit();

/** But for what is cut short by the end. */
function tellFaults(line: string): void {
  if (!isStopping && /^\[(?:Error|Critical)\]/.test(line)) console.error(line);
}

function show({ host, azurite, serviceBus, mongo, container, apiKey }: AzureCloud): void {
  console.log(`
Function app      ${host.url}/api
${host.functions.map(({ name, type }) => `  ${name.padEnd(34)} ${type}`).join("\n")}
Service Bus and Event Hubs  ${serviceBus.host}:${serviceBus.port}
Blob Storage      ${azurite.url}  (container ${container})
MongoDB protocol  ${mongo.uri}  (${mongo.kind})

Topic orders triggers persist-orders; hub clicks is drained every minute, or when persist-clicks is called.

export PERSISTOR_KEY=${apiKey}
export MASTER_KEY='${host.keys.master}'
export GRID_KEY='${host.keys.eventGrid}'
export NAMESPACE='${serviceBus.connectionString}'
export STORAGE='${azurite.connectionString}'

Stop with Ctrl-C; nothing is kept.`);
}
