import { ensureBundles } from "../tests/services/bundles.ts";
import { type GcpCloud, gcpCloudMissing, startGcpCloud } from "../tests/services/gcp-cloud.ts";
import { fetchPrograms } from "../tests/services/programs.ts";

// `npm run dev:gcp`: Google Cloud's parts on this machine, the functions in processes of their own, and pushes to them, until Ctrl-C.

process.env.METADATA_SERVER_DETECTION = "none";

const PORTS = {
  persist: 7081,
  "persist-pull": 7082,
  index: 7083,
  query: 7084,
  resubmit: 7085,
  "resubmit-work": 7086,
  pubsub: 8085,
  storage: 4443,
  mongodb: 27027,
};

const store = { kind: "gcs", bucket: "lake", prefix: "raw" };
const PIPELINES = {
  orders: {
    source: { broker: "pubsub", topic: "orders" },
    store: { ...store, path: "{topic}/{year}/{month}/{day}/type={attribute:type}" },
    index: { collection: "orders" },
    deadLetter: {},
  },
  clicks: {
    source: { broker: "pubsub", topic: "clicks" },
    store: { ...store, path: "{topic}/{year}/{month}/{day}/{hour}" },
    index: { collection: "clicks" },
  },
};
const DESTINATIONS = { replay: { broker: "pubsub", topic: "orders-replay" } } as const;

await fetchPrograms((text) => console.log(text));
const missing = gcpCloudMissing();
if (missing.length > 0) {
  console.error(`Google Cloud's parts cannot run here:\n${missing.map((reason) => `  - ${reason}`).join("\n")}`);
  process.exit(1);
}
console.log("Bundling the functions and starting Google Cloud's parts …");
await ensureBundles();
const stopped = new Promise<void>((resolve) => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
});
try {
  const cloud = await startGcpCloud({
    projectId: "persistor-dev",
    pipelines: PIPELINES,
    destinations: DESTINATIONS,
    pushed: ["orders", "dead-letter"],
    ports: PORTS,
  });
  show(cloud, await cloud.triggerToken());
  await stopped;
  console.log("Stopping.");
  await cloud.stop();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
process.exit();

function show({ functions, emulator, gcs, mongo, bucket, projectId, apiKey }: GcpCloud, token: string): void {
  console.log(`
Pub/Sub emulator  ${emulator.host}  (project ${projectId})
Cloud Storage     ${gcs.url}  (bucket ${bucket})
MongoDB protocol  ${mongo.uri}  (${mongo.kind})
${Object.entries(functions)
  .map(([target, { url }]) => `${target.padEnd(17)} ${url}`)
  .join("\n")}

Topic orders is pushed to persist/orders; topic clicks waits until persist-pull/clicks is called.

export PERSISTOR_KEY=${apiKey}
export SCHEDULER_TOKEN=${token}

Stop with Ctrl-C; nothing is kept.`);
}
