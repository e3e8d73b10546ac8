import { BlobServiceClient } from "@azure/storage-blob";
import { open } from "../../shared/adapters/stores/azure-blob/adapter.ts";
import { readObject } from "../../shared/core/avro/object-file.ts";
import { uniqueIdOf } from "../../shared/core/message.ts";
import { NO_LOG } from "../../shared/core/ports/log.ts";
import { createHostLog } from "../../tests/services/azure-host/host-log.ts";
import { type Azurite, startAzurite } from "../../tests/services/azurite.ts";
import { spelled } from "../lib/context.ts";
import type { Figure } from "../lib/figures.ts";
import { FLIGHTS } from "../lib/flights.ts";
import { cpuSeconds, peakRssMb } from "../lib/process-usage.ts";
import { perSecond, timed } from "../lib/timing.ts";
import { limitMsOf, within } from "../lib/within.ts";
import type { AzureBench } from "./lib/context.ts";
import { invokeLanes, lanesOf } from "./lib/kafka-lanes.ts";
import { APP, startAppWorker } from "./lib/worker.ts";

const PARTITIONS = 16;
/** The Kafka extension's own default. */
const BATCH_RECORDS = 64;
const MILLION = 1_000_000;
const CONTAINER = "lake";

interface Run {
  ms: number;
  cpuS: number;
  peakRssMb: number;
}

/** The Kafka trigger of the function app, from its bundle and in the Functions host's worker, gets batches of many partitions side by side, and stores them in Blob Storage. */
export const measure: AzureBench = async ({ count }, progress) => {
  const azurite = await startAzurite();
  try {
    await BlobServiceClient.fromConnectionString(azurite.connectionString).createContainer(CONTAINER);
    progress(`handing ${spelled(count)} messages to the trigger`);
    const run = await runTrigger(azurite, count);
    progress("reading what was stored");
    return [figureOf(run, await countObjects(azurite, count), count)];
  } finally {
    await azurite.stop();
  }
};

async function runTrigger(azurite: Azurite, count: number): Promise<Run> {
  const log = createHostLog("warning");
  const worker = startAppWorker(APP, environmentOf(azurite), log);
  try {
    const { functions, capabilities, error } = await worker.started();
    const fn = functions.find(({ bindings }) => bindings[0]?.type === "kafkaTrigger");
    if (!fn) throw new Error(`starting the function app: it has no Kafka trigger; ${error ?? log.output()}`);
    const lanes = lanesOf({ count, partitions: PARTITIONS, batchRecords: BATCH_RECORDS }, capabilities);
    const pid = worker.pid as number;
    const idleCpuS = cpuSeconds(pid);
    const invoking = () => within(limitMsOf(count), `persisting ${count} messages`, invokeLanes(lanes, worker, fn, log));
    const ms = await timed(invoking);
    return { ms, cpuS: cpuSeconds(pid) - idleCpuS, peakRssMb: peakRssMb(pid) };
  } finally {
    await worker.terminate(0);
  }
}

/** Fails unless all messages are stored. */
async function countObjects(azurite: Azurite, count: number): Promise<number> {
  const store = await open({ container: CONTAINER, connectionString: azurite.connectionString }, { dataDir: "", log: NO_LOG });
  const ids = new Set<string>();
  let objects = 0;
  for await (const { key } of store.list("")) {
    objects++;
    for await (const block of readObject((await store.get(key)).bytes, { brokerId: "", pipeline: "", topic: "" })) {
      if ("fault" in block) throw block.fault.error;
      for (const { record } of block.records) ids.add(uniqueIdOf(record.message));
    }
  }
  await store.close();
  if (ids.size !== count) throw new Error(`persisting ${count} messages: ${ids.size} are stored`);
  return objects;
}

function environmentOf({ connectionString }: Azurite): Record<string, string> {
  const pipeline = {
    source: { broker: "kafka", topic: FLIGHTS, binding: "classic" },
    store: { kind: "azure-blob", container: CONTAINER },
  };
  return {
    NODE_ENV: "production",
    // Nobody connects to it: the bench is what hands records over.
    PERSISTOR_KAFKA: JSON.stringify({ brokers: ["127.0.0.1:1"] }),
    PERSISTOR_WORK_TOPIC: JSON.stringify({ broker: "kafka", topic: "persistor-work" }),
    PERSISTOR_AZURE_STORAGE: connectionString,
    PERSISTOR_PIPELINES: JSON.stringify({ [FLIGHTS]: pipeline }),
  };
}

function figureOf({ ms, cpuS, peakRssMb }: Run, objects: number, count: number): Figure {
  return {
    name: `kafka trigger objects: of ${spelled(MILLION)} messages, ${PARTITIONS} partitions`,
    value: (objects * MILLION) / count,
    unit: "objects",
    target: 1_000,
    better: "lower",
    limit: MILLION / (PARTITIONS * BATCH_RECORDS),
    info: [
      { name: "messages of an object", value: count / objects, unit: "messages", limit: PARTITIONS * BATCH_RECORDS },
      { name: `batches of ${BATCH_RECORDS} → stored, until the last is answered`, value: perSecond(count, ms), unit: "messages/s" },
      { name: "processor time of the worker", value: cpuS, unit: "s" },
      { name: "peak RSS of the worker", value: peakRssMb, unit: "MB" },
    ],
  };
}
