import type { GcpCloud } from "../../tests/services/gcp-cloud.ts";
import { type Progress, runChild } from "../lib/child.ts";
import { spelled } from "../lib/context.ts";
import { FLIGHTS } from "../lib/flights.ts";
import { cpuSeconds, peakRssMb } from "../lib/process-usage.ts";
import { perSecond } from "../lib/timing.ts";
import { listStored, PIPELINES, withCloud } from "./lib/cloud.ts";
import type { GcpBench } from "./lib/context.ts";
import { startBareFunction } from "./lib/functions.ts";
import { emulatorOf, publishFlights, subscribe } from "./lib/pubsub.ts";
import type { Pumped, PumpOrder } from "./lib/pump.ts";

/** One way of pushing: how many at once, to which pipeline, and from which subscription to the bare function. */
interface Pushing {
  concurrency: number;
  pipeline: string;
  prefix: string;
  bareSubscription: string;
}

const NARROW: Pushing = { concurrency: 500, pipeline: FLIGHTS, prefix: "raw", bareSubscription: "flights-bare" };
const WIDE: Pushing = { concurrency: 2_500, pipeline: "wide", prefix: "wide", bareSubscription: "flights-bare-wide" };
const WARMING_MESSAGES = 5_000;

interface Pushed {
  rate: number;
  bareRate: number;
  /** Pushes that were not acknowledged, and made again. */
  released: number;
  bareReleased: number;
  messagesPerObject: number;
  bytesPerMessage: number;
}

/** A pump pushes a backlog to the function, and the same to a bare one; pump and functions are processes of their own. */
export const measure: GcpBench = async ({ count }, progress) => {
  const { source, store, index } = PIPELINES[FLIGHTS];
  const wide = { source: { ...source, id: WIDE.pipeline, subscription: "flights-wide" }, store: { ...store, prefix: WIDE.prefix }, index };
  return withCloud({ targets: ["persist"], pipelines: { ...PIPELINES, [WIDE.pipeline]: wide } }, async (cloud) => {
    await subscribe(cloud, FLIGHTS, [NARROW.bareSubscription, WIDE.bareSubscription]);
    const bare = await startBareFunction();
    const publish = (messages: number) => publishFlights({ ...emulatorOf(cloud), topic: FLIGHTS, count: messages });
    const both = async (pushing: Pushing, messages: number, at: Progress) => pushBoth(cloud, bare.url, pushing, messages, at);
    try {
      progress("warming the functions up");
      await publish(WARMING_MESSAGES);
      for (const pushing of [NARROW, WIDE]) await both(pushing, WARMING_MESSAGES, () => undefined);
      progress(`publishing ${spelled(count)} messages`);
      await publish(count);
      const narrow = await both(NARROW, count, progress);
      const wide = await both(WIDE, count, progress);
      const { pid } = cloud.functions.persist.service;
      return figuresOf(narrow, wide, { rssMb: peakRssMb(pid), bareRssMb: peakRssMb(bare.pid), cpuS: cpuSeconds(pid) });
    } finally {
      await bare.stop();
    }
  });
};

async function pushBoth(cloud: GcpCloud, bareUrl: string, pushing: Pushing, count: number, progress: Progress): Promise<Pushed> {
  const { concurrency, pipeline, prefix, bareSubscription } = pushing;
  const token = await cloud.triggerToken();
  const push = (subscription: string, endpoint: string) => {
    const order = { emulatorHost: cloud.emulator.host, projectId: cloud.projectId, subscription, endpoint, concurrency, token, count };
    return runChild<PumpOrder, Pumped>(new URL("./lib/pump.ts", import.meta.url), order, progress);
  };
  const before = await listStored(cloud, `${prefix}/`);
  const bare = await push(bareSubscription, bareUrl);
  const pushed = await push(subscriptionOf(cloud, pipeline), `${cloud.functions.persist.url}/persist/${pipeline}`);
  const after = await listStored(cloud, `${prefix}/`);
  return {
    rate: perSecond(count, pushed.ms),
    bareRate: perSecond(count, bare.ms),
    released: pushed.released,
    bareReleased: bare.released,
    messagesPerObject: count / (after.objects - before.objects),
    bytesPerMessage: (after.bytes - before.bytes) / count,
  };
}

function subscriptionOf({ settings }: GcpCloud, pipeline: string): string {
  return settings.pipelines[pipeline]?.source.subscription ?? "";
}

interface Usage {
  rssMb: number;
  bareRssMb: number;
  cpuS: number;
}

function figuresOf(narrow: Pushed, wide: Pushed, { rssMb, bareRssMb, cpuS }: Usage): Awaited<ReturnType<GcpBench>> {
  return [
    {
      name: "gcp persist-push: 500 pushes at once, each stored",
      value: narrow.rate,
      unit: "messages/s",
      target: 4_000,
      better: "higher",
      limit: narrow.bareRate,
      info: [
        { name: "2,500 pushes at once", value: wide.rate, unit: "messages/s", limit: wide.bareRate },
        {
          name: "pushes made again, over both",
          value: narrow.released + wide.released,
          unit: "messages",
          limit: narrow.bareReleased + wide.bareReleased,
        },
        { name: "peak RSS of the function", value: rssMb, unit: "MB", limit: bareRssMb },
        { name: "processor time of the function, over both", value: cpuS, unit: "s" },
      ],
    },
    {
      name: "gcp persist-push: share of a bare function",
      value: narrow.rate / narrow.bareRate,
      unit: "ratio",
      target: 0.8,
      better: "higher",
      limit: 1,
      info: [{ name: "2,500 pushes at once", value: wide.rate / wide.bareRate, unit: "ratio", limit: 1 }],
    },
    {
      name: "gcp persist-push: messages of an object, 2,500 pushes at once",
      value: wide.messagesPerObject,
      unit: "messages",
      target: 1_000,
      better: "higher",
      limit: WIDE.concurrency,
      info: [
        { name: "500 pushes at once", value: narrow.messagesPerObject, unit: "messages", limit: NARROW.concurrency },
        { name: "stored bytes of a message, 2,500 at once", value: wide.bytesPerMessage, unit: "bytes" },
        { name: "stored bytes of a message, 500 at once", value: narrow.bytesPerMessage, unit: "bytes" },
      ],
    },
  ];
}
