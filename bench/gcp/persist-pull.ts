import type { GcpCloud } from "../../tests/services/gcp-cloud.ts";
import { type Progress, runChild } from "../lib/child.ts";
import { spelled } from "../lib/context.ts";
import { FLIGHTS } from "../lib/flights.ts";
import { cpuSeconds, peakRssMb } from "../lib/process-usage.ts";
import { percentiles, perSecond } from "../lib/timing.ts";
import type { Consumed, ConsumeOrder } from "./lib/bare-consumer.ts";
import { listStored, post, withCloud } from "./lib/cloud.ts";
import type { GcpBench } from "./lib/context.ts";
import { emulatorOf, publishFlights, subscribe } from "./lib/pubsub.ts";

const ROUNDS = 3;
const WARMING_MESSAGES = 10_000;
/** Longer than a lease. */
const LIMIT_MS = 120_000;
const BARE = "flights-bare";
const BARE_STREAMS = "flights-bare-streams";
const FUNCTION = "persist-pull";

interface Round {
  drained: Drained;
  bare: Consumed;
  streams: Consumed;
}

interface Drained {
  /** Messages per second from the call until its last object was stored. */
  rate: number;
  /** The same until the answer, with what it waited for more. */
  answeredRate: number;
  /** Messages that only a later call got. */
  left: number;
  peakRssMb: number;
  cpuS: number;
}

/** A function just started drains a backlog from the emulator into storage, and bare consumers drain the same; each in a process of its own. */
export const measure: GcpBench = ({ count }, progress) =>
  withCloud({ targets: [FUNCTION] }, async (cloud) => {
    await subscribe(cloud, FLIGHTS, [BARE, BARE_STREAMS]);
    await warm(cloud, progress);
    const rounds: Round[] = [];
    for (let i = 0; i < ROUNDS; i++) {
      const at: Progress = (text) => progress(`round ${i + 1} of ${ROUNDS}: ${text}`);
      at(`publishing ${spelled(count)} messages`);
      await publishFlights({ ...emulatorOf(cloud), topic: FLIGHTS, count });
      rounds.push(await measureRound(cloud, count, i, at));
    }
    return figuresOf(rounds, count);
  });

/** So that no consumer is the first that the emulator's machine code was made for. */
async function warm(cloud: GcpCloud, progress: Progress): Promise<void> {
  progress("warming the emulator up");
  await publishFlights({ ...emulatorOf(cloud), topic: FLIGHTS, count: WARMING_MESSAGES });
  await consume("bare-consumer", cloud, BARE, WARMING_MESSAGES, progress);
  await consume("bare-streams", cloud, BARE_STREAMS, WARMING_MESSAGES, progress);
  await drain(cloud, WARMING_MESSAGES);
}

async function measureRound(cloud: GcpCloud, count: number, i: number, progress: Progress): Promise<Round> {
  const round: Partial<Round> = {};
  const works = [
    async () => {
      progress("draining by the bare consumer");
      round.bare = await consume("bare-consumer", cloud, BARE, count, progress);
    },
    async () => {
      progress("draining by bare streams");
      round.streams = await consume("bare-streams", cloud, BARE_STREAMS, count, progress);
    },
    async () => {
      progress("draining by persist-pull");
      await cloud.functions[FUNCTION].restart();
      round.drained = await drain(cloud, count);
    },
  ];
  // Each takes each turn once.
  for (let turn = 0; turn < works.length; turn++) await works[(i + turn) % works.length]?.();
  return round as Round;
}

function consume(module: string, cloud: GcpCloud, subscription: string, count: number, progress: Progress): Promise<Consumed> {
  const order = { ...emulatorOf(cloud), subscription, count };
  return runChild<ConsumeOrder, Consumed>(new URL(`./lib/${module}.ts`, import.meta.url), order, progress);
}

/** One drain, and more until all is stored: the emulator keeps back what it sent into a stream that was closed, until the lease is over. */
async function drain(cloud: GcpCloud, count: number): Promise<Drained> {
  const { url, service } = cloud.functions[FUNCTION];
  const token = await cloud.triggerToken();
  const call = () => post<{ stored: number; seconds: number }>(`${url}/${FUNCTION}/${FLIGHTS}`, token);
  const startMs = Date.now();
  const { stored, seconds } = await call();
  const { lastMs } = await listStored(cloud, "raw/");
  const usage = { peakRssMb: peakRssMb(service.pid), cpuS: cpuSeconds(service.pid) };
  let all = stored;
  while (all < count) {
    if (Date.now() - startMs > LIMIT_MS) throw new Error(`draining ${count} messages: ${all} were stored\n${service.output()}`);
    all += (await call()).stored;
  }
  return { rate: perSecond(stored, lastMs - startMs), answeredRate: stored / seconds, left: count - stored, ...usage };
}

function figuresOf(rounds: readonly Round[], count: number): Awaited<ReturnType<GcpBench>> {
  const median = (read: (round: Round) => number) => percentiles(rounds.map(read)).p50;
  const drained = median((round) => round.drained.rate);
  const bare = perSecond(
    count,
    median((round) => round.bare.ms),
  );
  return [
    {
      name: "gcp persist-pull: share of a bare SDK consumer",
      value: drained / bare,
      unit: "ratio",
      target: 0.9,
      better: "higher",
      limit: 1,
      info: [
        { name: "emulator → stored, index records handed over", value: drained, unit: "messages/s", limit: bare },
        {
          name: "bare low-level streams, which store nothing",
          value: perSecond(
            count,
            median((round) => round.streams.ms),
          ),
          unit: "messages/s",
        },
        { name: "until the answer, with its wait for more", value: median((round) => round.drained.answeredRate), unit: "messages/s" },
        {
          name: "left for another call, in the round with most",
          value: Math.max(...rounds.map((round) => round.drained.left)),
          unit: "messages",
        },
        { name: "processor time of the function", value: median((round) => round.drained.cpuS), unit: "s" },
      ],
    },
    {
      name: "gcp persist-pull: peak RSS of the function",
      value: Math.max(...rounds.map((round) => round.drained.peakRssMb)),
      unit: "MB",
      target: 200,
      better: "lower",
      limit: Math.max(...rounds.map((round) => round.bare.peakRssMb)),
      info: [{ name: "bare low-level streams", value: Math.max(...rounds.map((round) => round.streams.peakRssMb)), unit: "MB" }],
    },
  ];
}
