import { storeRecords } from "../../shared/core/index/store-records.ts";
import type { IndexRecord } from "../../shared/core/index-record.ts";
import type { GcpCloud } from "../../tests/services/gcp-cloud.ts";
import { callsOf } from "../lib/build-archive.ts";
import { type Progress, runChild } from "../lib/child.ts";
import { spelled } from "../lib/context.ts";
import { FIRST_PUBLISH_MS, FLIGHTS } from "../lib/flights.ts";
import { cpuSeconds, peakRssMb } from "../lib/process-usage.ts";
import { inLanes, percentiles, perSecond } from "../lib/timing.ts";
import { post, REPLAY, until, withCloud } from "./lib/cloud.ts";
import type { GcpBench } from "./lib/context.ts";
import { emulatorOf, type PublishOrder } from "./lib/pubsub.ts";
import { storeFlights, withPorts } from "./lib/records.ts";

const RUNS = 3;
const UPSERTS_IN_FLIGHT = 2;
const BARE_TOPIC = "replay-bare";
const COUNTS = ["indexed", "fetched", "deserialized", "published", "verified"] as const;

type Summary = Record<`${(typeof COUNTS)[number]}_count`, number>;

interface Run {
  ms: number;
  bareMs: number;
  peakRssMb: number;
  /** Before the first request. */
  idleRssMb: number;
  cpuS: number;
}

/** One call that resubmits a range, by a function just started, until its job has ended; and the same messages published bare. */
export const measure: GcpBench = ({ count }, progress) =>
  withCloud({ targets: ["resubmit", "resubmit-work"] }, async (cloud) => {
    await fillArchive(cloud, count, progress);
    await cloud.pubsub.createTopic(BARE_TOPIC);
    await cloud.pubsub.topic(BARE_TOPIC).createSubscription(`${BARE_TOPIC}-check`);
    const runs: Run[] = [];
    for (let i = 0; i < RUNS; i++) {
      progress(`resubmitting ${spelled(count)} messages: ${i} of ${RUNS} runs`);
      runs.push(await measureRun(cloud, count, progress));
    }
    return figuresOf(runs, count);
  });

/** By the core alone, so that the broker holds nothing yet. */
function fillArchive(cloud: GcpCloud, count: number, progress: Progress): Promise<void> {
  return withPorts(cloud, async (ports) => {
    progress(`storing and indexing ${spelled(count)} messages`);
    const calls = callsOf(await storeFlights(ports, 0, count));
    const deps = { index: await ports.index(), clock: ports.clock, meter: ports.meter, log: ports.log };
    await inLanes(UPSERTS_IN_FLIGHT, calls.length, (i) => storeRecords(FLIGHTS, calls[i] as IndexRecord[], deps));
  });
}

async function measureRun(cloud: GcpCloud, count: number, progress: Progress): Promise<Run> {
  const { functions } = cloud;
  const order: PublishOrder = { ...emulatorOf(cloud), topic: BARE_TOPIC, count };
  const bareMs = await runChild<PublishOrder, number>(new URL("./lib/bare-publisher.ts", import.meta.url), order, progress);
  await functions.resubmit.restart();
  const { pid } = functions.resubmit.service;
  const idleRssMb = peakRssMb(pid);
  const startMs = performance.now();
  const summary = await resubmitted(cloud, count);
  const ms = performance.now() - startMs;
  const wrong = COUNTS.find((step) => summary[`${step}_count`] !== count);
  if (wrong) throw new Error(`resubmitting ${count} messages: the summary is ${JSON.stringify(summary)}`);
  return { ms, bareMs, peakRssMb: peakRssMb(pid), idleRssMb, cpuS: cpuSeconds(pid) };
}

async function resubmitted({ functions, apiKey }: GcpCloud, count: number): Promise<Summary> {
  const base = `${functions.resubmit.url}/resubmitter`;
  const [lb, ub] = [FIRST_PUBLISH_MS, FIRST_PUBLISH_MS + count].map((ms) => new Date(ms).toISOString());
  const answer = await post<{ job: string; summary?: Summary }>(`${base}/range/${FLIGHTS}?topic=${REPLAY}`, apiKey, {
    broker_id: FLIGHTS,
    lb,
    ub,
  });
  if (answer.summary) return answer.summary;
  // It took longer than a request may: the work topic carries the job on.
  let job: { state: string; summary: Summary } | undefined;
  await until(`the end of job ${answer.job}`, async () => {
    const response = await fetch(`${base}/jobs/${answer.job}`, { headers: { authorization: `Bearer ${apiKey}` } });
    job = (await response.json()) as typeof job;
    return job?.state !== "planning" && job?.state !== "running";
  });
  return (job as { summary: Summary }).summary;
}

function figuresOf(runs: readonly Run[], count: number): Awaited<ReturnType<GcpBench>> {
  const took = percentiles(runs.map(({ ms }) => ms));
  return [
    {
      name: "gcp resubmit: one call for a range, until all are out",
      value: perSecond(count, took.p50),
      unit: "messages/s",
      target: 34_000,
      better: "higher",
      limit: perSecond(count, percentiles(runs.map(({ bareMs }) => bareMs)).p50),
      info: [
        { name: "slowest run", value: perSecond(count, took.p99), unit: "messages/s" },
        { name: "processor time of the function", value: percentiles(runs.map(({ cpuS }) => cpuS)).p50, unit: "s" },
      ],
    },
    {
      name: "gcp resubmit: peak RSS of the function",
      value: Math.max(...runs.map((run) => run.peakRssMb)),
      unit: "MB",
      target: 170,
      better: "lower",
      limit: Math.max(...runs.map(({ idleRssMb }) => idleRssMb)),
    },
  ];
}
