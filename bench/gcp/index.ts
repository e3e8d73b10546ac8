import { recordCollection } from "../../shared/adapters/indexes/mongodb/names.ts";
import { handOver } from "../../shared/core/index/index-message.ts";
import type { IndexRecord } from "../../shared/core/index-record.ts";
import type { Ports } from "../../shared/runtime/ports.ts";
import type { GcpCloud } from "../../tests/services/gcp-cloud.ts";
import { type Progress, runChild } from "../lib/child.ts";
import { spelled } from "../lib/context.ts";
import { FLIGHTS } from "../lib/flights.ts";
import { cpuSeconds, peakRssMb } from "../lib/process-usage.ts";
import { perSecond } from "../lib/timing.ts";
import type { Upserted, UpsertOrder } from "./lib/bare-upserts.ts";
import { INDEX_TOPIC, withCloud } from "./lib/cloud.ts";
import type { GcpBench } from "./lib/context.ts";
import type { Pumped, PumpOrder } from "./lib/pump.ts";
import { storeFlights, withPorts } from "./lib/records.ts";

const SUBSCRIPTION = `${INDEX_TOPIC}-indexer`;
/** Half a megabyte each. */
const CONCURRENCY = 32;
const WARMING_RECORDS = 10_000;
/** Records of one call of `persist`, which the index messages are cut from. */
const RECORDS_PER_CALL = 5_000;

/** Index messages as `persist` hands them over are pushed to the function: once, and all of them again. */
export const measure: GcpBench = ({ count }, progress) =>
  withCloud({ targets: ["index"] }, (cloud) =>
    withPorts(cloud, async (ports) => {
      // Its pushes are measured: no others beside them.
      await cloud.pumps[INDEX_TOPIC]?.stop();
      progress(`making ${spelled(count)} index records`);
      const records = await storeFlights(ports, 0, count);
      progress("warming function and database up");
      await pushAll(cloud, ports, await storeFlights(ports, count, WARMING_RECORDS), () => undefined);
      const first = await pushAll(cloud, ports, records, progress);
      await checkStored(ports, count + WARMING_RECORDS);
      const repeated = await pushAll(cloud, ports, records, progress);
      await checkStored(ports, count + WARMING_RECORDS);
      const { pid } = cloud.functions.index.service;
      const usage = { rssMb: peakRssMb(pid), cpuS: cpuSeconds(pid) };
      progress("upserting bare");
      const bare = await upsertBare(cloud, count, progress);
      return [
        {
          name: "gcp index: pushed index records → upserted",
          value: perSecond(count, first),
          unit: "records/s",
          target: 15_000,
          better: "higher",
          limit: perSecond(count, bare.newMs),
          info: [
            {
              name: "repeated: all are there",
              value: perSecond(count, repeated),
              unit: "records/s",
              limit: perSecond(count, bare.repeatedMs),
            },
            { name: "peak RSS of the function", value: usage.rssMb, unit: "MB" },
            { name: "processor time of the function, over both", value: usage.cpuS, unit: "s" },
          ],
        },
      ];
    }),
  );

/** Milliseconds that pushing all records took; handing them over to the topic is not counted. */
async function pushAll(cloud: GcpCloud, ports: Ports, records: readonly IndexRecord[], progress: Progress): Promise<number> {
  progress("handing index records over");
  const { publisher } = await ports.broker("pubsub");
  let messages = 0;
  const counting = {
    ...publisher,
    async publish(...call: Parameters<typeof publisher.publish>) {
      messages += call[1].length;
      return publisher.publish(...call);
    },
  };
  for (let i = 0; i < records.length; i += RECORDS_PER_CALL) {
    await handOver({ publisher: counting, topic: INDEX_TOPIC, collection: FLIGHTS }, records.slice(i, i + RECORDS_PER_CALL));
  }
  const order = {
    emulatorHost: cloud.emulator.host,
    projectId: cloud.projectId,
    subscription: SUBSCRIPTION,
    endpoint: `${cloud.functions.index.url}/index/${INDEX_TOPIC}`,
    concurrency: CONCURRENCY,
    token: await cloud.triggerToken(),
    count: messages,
  };
  progress(`pushing ${messages} index messages`);
  const { ms } = await runChild<PumpOrder, Pumped>(new URL("./lib/pump.ts", import.meta.url), order, progress);
  return ms;
}

async function checkStored(ports: Ports, count: number): Promise<void> {
  const [summary] = await (await ports.index()).summarize(FLIGHTS, { op: "all", of: [] });
  if (summary?.count !== count) throw new Error(`indexing: ${summary?.count} records are in the index, not ${count}`);
}

function upsertBare({ mongo, settings }: GcpCloud, count: number, progress: Progress): Promise<Upserted> {
  const database = String(settings.adapters.mongodb?.database);
  const order = { uri: mongo.uri, database, from: recordCollection(FLIGHTS), count };
  return runChild<UpsertOrder, Upserted>(new URL("./lib/bare-upserts.ts", import.meta.url), order, progress);
}
