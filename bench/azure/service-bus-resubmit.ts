import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { ServiceBusServer } from "../../tests/services/service-bus-server.ts";
import { type Archive, forgetResubmissions } from "../lib/archive.ts";
import type { ArchiveOrder } from "../lib/build-archive.ts";
import { type Progress, runChild } from "../lib/child.ts";
import { spelled } from "../lib/context.ts";
import type { Figure } from "../lib/figures.ts";
import { type Host, startHost } from "../lib/host.ts";
import { cpuSeconds, peakRssMb } from "../lib/process-usage.ts";
import { resubmit } from "../lib/resubmitting.ts";
import { percentiles, perSecond } from "../lib/timing.ts";
import { limitMsOf, within } from "../lib/within.ts";
import type { AzureBench } from "./lib/context.ts";
import { ENTITY, type FlightsOrder, withServiceBus } from "./lib/service-bus.ts";

const ROUNDS = 3;
const REPLAY = "replay";

interface Round {
  ms: number;
  bareMs: number;
  cpuS: number;
  peakRssMb: number;
  /** Before the job. */
  idleRssMb: number;
}

/** One call to a local host just started resubmits a range from files to a queue; the SDK's own sender sends the same; what was resubmitted is read again. */
export const measure: AzureBench = ({ folder, count }, progress) =>
  withServiceBus(async (server) => {
    const order = { dataDir: join(folder, "archive"), count };
    const archive = await runChild<ArchiveOrder, Archive>(new URL("../lib/build-archive.ts", import.meta.url), order, progress);
    const rounds: Round[] = [];
    for (let i = 0; i < ROUNDS; i++) {
      const at: Progress = (text) => progress(`round ${i + 1} of ${ROUNDS}: ${text}`);
      rounds.push(await measureRound(server, archive, i, at));
    }
    return figuresOf(rounds, count);
  });

/** By turns, one after the other goes first. */
async function measureRound(server: ServiceBusServer, archive: Archive, i: number, progress: Progress): Promise<Round> {
  if (i % 2 === 1) {
    const resubmitted = await measureJob(server, archive, progress);
    return { ...resubmitted, bareMs: await sendBare(server, archive, progress) };
  }
  const bareMs = await sendBare(server, archive, progress);
  return { ...(await measureJob(server, archive, progress)), bareMs };
}

async function sendBare(server: ServiceBusServer, { count }: Archive, progress: Progress): Promise<number> {
  progress(`sending ${spelled(count)} messages bare`);
  return inQueue(server, (entity) => {
    const order = { connectionString: server.connectionString, entity, count };
    return runChild<FlightsOrder, number>(new URL("./lib/bare-sender.ts", import.meta.url), order, progress);
  });
}

function measureJob(server: ServiceBusServer, archive: Archive, progress: Progress): Promise<Omit<Round, "bareMs">> {
  const { count } = archive;
  return inQueue(server, async (entity) => {
    progress(`resubmitting ${spelled(count)} messages`);
    await forgetResubmissions(archive);
    const host = await openHost(server, archive, entity);
    try {
      const idleRssMb = peakRssMb(host.pid);
      const idleCpuS = cpuSeconds(host.pid);
      const startMs = performance.now();
      await within(limitMsOf(count), `resubmitting ${count} messages`, resubmit(host, REPLAY, count));
      const ms = performance.now() - startMs;
      const usage = { cpuS: cpuSeconds(host.pid) - idleCpuS, peakRssMb: peakRssMb(host.pid), idleRssMb };
      progress("reading again what was resubmitted");
      const order = { connectionString: server.connectionString, entity, count };
      await runChild<FlightsOrder, null>(new URL("./lib/checker.ts", import.meta.url), order, progress);
      const { enqueued } = await server.counts(entity);
      if (enqueued !== count) throw new Error(`resubmitting ${count} messages: ${enqueued} came to the queue`);
      return { ms, ...usage };
    } finally {
      await host.stop();
    }
  });
}

function openHost({ connectionString }: ServiceBusServer, { dataDir }: Archive, topic: string): Promise<Host> {
  return startHost(dataDir, {
    PERSISTOR_SERVICE_BUS: connectionString,
    PERSISTOR_DESTINATIONS: JSON.stringify({ [REPLAY]: { broker: "service-bus", topic } }),
  });
}

/** Gives `work` a queue of its own. */
async function inQueue<T>(server: ServiceBusServer, work: (queue: string) => Promise<T>): Promise<T> {
  const queue = `${REPLAY}-${randomUUID()}`;
  await server.createQueue(queue, ENTITY);
  try {
    return await work(queue);
  } finally {
    await server.deleteEntity(queue);
  }
}

function figuresOf(rounds: readonly Round[], count: number): Figure[] {
  const took = percentiles(rounds.map(({ ms }) => ms));
  const bare = percentiles(rounds.map(({ bareMs }) => bareMs));
  return [
    {
      name: `service-bus resubmit ${spelled(count)}: share of a bare SDK sender`,
      value: bare.p50 / took.p50,
      unit: "ratio",
      target: 0.8,
      better: "higher",
      limit: 1,
      info: [
        { name: "files → queue, job succeeded", value: perSecond(count, took.p50), unit: "messages/s", limit: perSecond(count, bare.p50) },
        { name: "slowest round", value: perSecond(count, took.p99), unit: "messages/s", limit: perSecond(count, bare.p99) },
        { name: "processor time of the host", value: percentiles(rounds.map(({ cpuS }) => cpuS)).p50, unit: "s" },
        {
          name: "peak RSS of the host",
          value: Math.max(...rounds.map((round) => round.peakRssMb)),
          unit: "MB",
          limit: Math.max(...rounds.map(({ idleRssMb }) => idleRssMb)),
        },
        { name: "verified, and of the original's digest when read again", value: count, unit: "messages" },
      ],
    },
  ];
}
