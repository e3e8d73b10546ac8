import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { KafkaBroker } from "../../tests/services/kafka-broker.ts";
import { type Progress, runChild } from "../lib/child.ts";
import { RANGE_MESSAGES, spelled } from "../lib/context.ts";
import type { Figure } from "../lib/figures.ts";
import { FLIGHTS } from "../lib/flights.ts";
import { call, type Host, startHost } from "../lib/host.ts";
import { cpuSeconds, peakRssMb } from "../lib/process-usage.ts";
import { resubmit } from "../lib/resubmitting.ts";
import { percentiles, perSecond } from "../lib/timing.ts";
import { limitMsOf, within } from "../lib/within.ts";
import { fillTopic, makeTopic, withBroker } from "./lib/broker.ts";
import type { ConsumeOrder } from "./lib/consuming.ts";
import { type KafkaBench, roundsOf } from "./lib/context.ts";
import type { FillOrder } from "./lib/fill.ts";
import { environmentOf, REPLAY } from "./lib/settings.ts";

const FILL_POLL_MS = 500;

interface Round {
  ms: number;
  /** NaN where the client library did not get through. */
  bareMs: number;
  cpuS: number;
  peakRssMb: number;
  /** Before the job. */
  idleRssMb: number;
}

/** One call to a local host just started resubmits a range from files to Kafka; the client library sends the same; both topics are read again. */
export const measure: KafkaBench = ({ folder, counts }, progress) =>
  withBroker(async (broker) => {
    const dataDir = join(folder, "data");
    await mkdir(dataDir, { recursive: true });
    await fillArchive(broker, dataDir, Math.max(...counts), progress);
    const figures: Figure[] = [];
    for (const count of counts) {
      const rounds: Round[] = [];
      for (let i = 0; i < roundsOf(count); i++) {
        progress(`resubmitting ${spelled(count)} messages: ${i} of ${roundsOf(count)} rounds`);
        rounds.push(await measureRound(broker, dataDir, count, progress));
      }
      figures.push(...figuresOf(rounds, count));
    }
    return figures;
  });

/** Made by the local host out of a topic; the topic is gone afterwards. */
async function fillArchive(broker: KafkaBroker, dataDir: string, count: number, progress: Progress): Promise<void> {
  await fillTopic(broker, FLIGHTS, count, progress);
  progress(`persisting and indexing ${spelled(count)} messages`);
  const host = await openHost(broker, dataDir, REPLAY);
  try {
    await within(limitMsOf(count), `indexing ${count} messages`, untilIndexed(host, count));
  } finally {
    await host.stop();
  }
  await broker.deleteTopic(FLIGHTS);
  // The pipeline still reads it.
  await makeTopic(broker, FLIGHTS);
}

function openHost({ host }: KafkaBroker, dataDir: string, replayTopic: string): Promise<Host> {
  return startHost(dataDir, environmentOf({ host, topic: FLIGHTS, group: `${FLIGHTS}-persistor`, dataDir }, true, replayTopic));
}

async function untilIndexed({ url }: Host, count: number): Promise<void> {
  for (;;) {
    const { total_count } = await call<{ total_count: number }>(`${url}/indexer/range/${FLIGHTS}/${FLIGHTS}?limit=1&count=true`);
    if (total_count === count) return;
    await sleep(FILL_POLL_MS);
  }
}

async function measureRound(broker: KafkaBroker, dataDir: string, count: number, progress: Progress): Promise<Round> {
  const replay = `replay-${randomUUID()}`;
  const bare = `bare-${randomUUID()}`;
  await makeTopic(broker, replay);
  await makeTopic(broker, bare);
  const bareMs = await sendBare(broker, bare, count, progress);
  const host = await openHost(broker, dataDir, replay);
  try {
    const idleRssMb = peakRssMb(host.pid);
    const idleCpuS = cpuSeconds(host.pid);
    const startMs = performance.now();
    await within(limitMsOf(count), `resubmitting ${count} messages`, resubmit(host, REPLAY, count));
    const ms = performance.now() - startMs;
    const round = { ms, bareMs, cpuS: cpuSeconds(host.pid) - idleCpuS, peakRssMb: peakRssMb(host.pid), idleRssMb };
    progress("reading again what was resubmitted");
    const order = { host: broker.host, topic: replay, group: randomUUID(), count };
    await runChild<ConsumeOrder, null>(new URL("./lib/checker.ts", import.meta.url), order, progress);
    return round;
  } finally {
    await host.stop();
    await broker.deleteTopic(replay);
    await broker.deleteTopic(bare);
  }
}

async function sendBare({ host }: KafkaBroker, topic: string, count: number, progress: Progress): Promise<number> {
  try {
    return await runChild<FillOrder, number>(new URL("./lib/bare-producer.ts", import.meta.url), { host, topic, count }, progress);
  } catch (error) {
    progress(`no limit: ${error instanceof Error ? error.message : error}`);
    return Number.NaN;
  }
}

function figuresOf(rounds: readonly Round[], count: number): Figure[] {
  const took = percentiles(rounds.map(({ ms }) => ms));
  const sent = rounds.map(({ bareMs }) => bareMs).filter((ms) => !Number.isNaN(ms));
  return [
    {
      name: `kafka resubmit ${spelled(count)}: files → topic, job succeeded`,
      value: perSecond(count, took.p50),
      unit: "messages/s",
      target: 50_000,
      better: "higher",
      limit: sent.length > 0 ? perSecond(count, percentiles(sent).p50) : null,
      info: [
        { name: "slowest round", value: perSecond(count, took.p99), unit: "messages/s" },
        {
          name: `processor time of the host for ${spelled(RANGE_MESSAGES)}`,
          value: (percentiles(rounds.map(({ cpuS }) => cpuS)).p50 * RANGE_MESSAGES) / count,
          unit: "s",
        },
        { name: "verified, and of the original's digest when read again", value: count, unit: "messages" },
      ],
    },
    {
      name: `kafka resubmit ${spelled(count)}: peak RSS of the host`,
      value: Math.max(...rounds.map((round) => round.peakRssMb)),
      unit: "MB",
      target: 200,
      better: "lower",
      limit: Math.max(...rounds.map(({ idleRssMb }) => idleRssMb)),
    },
  ];
}
