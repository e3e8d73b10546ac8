import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { KafkaBroker } from "../../tests/services/kafka-broker.ts";
import { type Progress, runChild } from "../lib/child.ts";
import { RANGE_MESSAGES, spelled } from "../lib/context.ts";
import type { Figure } from "../lib/figures.ts";
import type { Persisted, PersistOrder } from "../lib/persister.ts";
import { startFlags } from "../lib/start-command.ts";
import { percentiles, perSecond } from "../lib/timing.ts";
import { fillTopic, withBroker } from "./lib/broker.ts";
import type { ConsumeOrder } from "./lib/consuming.ts";
import { type KafkaBench, roundsOf } from "./lib/context.ts";
import { environmentOf } from "./lib/settings.ts";
import { type Stored, storedIn, tightestIn } from "./lib/stored.ts";

const WARMING_MESSAGES = 20_000;

interface Round {
  persisted: Persisted;
  bare: Persisted;
}

/** A process just started persists a topic into files, and the client library's own consumer reads the same; each in a process of its own. */
export const measure: KafkaBench = ({ folder, counts }, progress) =>
  withBroker(async (broker) => {
    await fillTopic(broker, "warming", WARMING_MESSAGES, progress);
    await persist(broker, "warming", WARMING_MESSAGES, join(folder, "warming"), progress);
    await readBare(broker, "warming", WARMING_MESSAGES, progress);
    const figures: Figure[] = [];
    for (const count of counts) {
      const topic = `flights-${count}`;
      const dataDir = join(folder, topic);
      await fillTopic(broker, topic, count, progress);
      const rounds: Round[] = [];
      for (let i = 0; i < roundsOf(count); i++) {
        progress(`persisting ${spelled(count)} messages: ${i} of ${roundsOf(count)} rounds`);
        await rm(dataDir, { recursive: true, force: true });
        rounds.push(await measureRound(broker, topic, count, dataDir, i, progress));
      }
      figures.push(...figuresOf(rounds, count));
      progress("compressing an object as tight as it goes");
      figures.push(sizeOf(await storedIn(dataDir), await tightestIn(dataDir), count));
      await rm(dataDir, { recursive: true, force: true });
      await broker.deleteTopic(topic);
    }
    return figures;
  });

/** By turns, one after the other goes first. */
async function measureRound(
  broker: KafkaBroker,
  topic: string,
  count: number,
  dataDir: string,
  i: number,
  progress: Progress,
): Promise<Round> {
  if (i % 2 === 1) {
    const persisted = await persist(broker, topic, count, dataDir, progress);
    return { persisted, bare: await readBare(broker, topic, count, progress) };
  }
  const bare = await readBare(broker, topic, count, progress);
  return { persisted: await persist(broker, topic, count, dataDir, progress), bare };
}

function persist({ host }: KafkaBroker, topic: string, count: number, dataDir: string, progress: Progress): Promise<Persisted> {
  const order = { environment: environmentOf({ host, topic, dataDir, group: randomUUID() }, false), topic, count };
  return runChild<PersistOrder, Persisted>(new URL("../lib/persister.ts", import.meta.url), order, progress, startFlags());
}

function readBare({ host }: KafkaBroker, topic: string, count: number, progress: Progress): Promise<Persisted> {
  const order = { host, topic, count, group: randomUUID() };
  return runChild<ConsumeOrder, Persisted>(new URL("./lib/bare-consumer.ts", import.meta.url), order, progress);
}

function figuresOf(rounds: readonly Round[], count: number): Figure[] {
  const persisted = rounds.map((round) => round.persisted);
  const bare = rounds.map((round) => round.bare);
  const rate = (runs: readonly Persisted[]) => perSecond(count, percentiles(runs.map(({ ms }) => ms)).p50);
  const cpuS = (runs: readonly Persisted[]) => (percentiles(runs.map((run) => run.cpuS)).p50 * RANGE_MESSAGES) / count;
  const slowest = (runs: readonly Persisted[]) => perSecond(count, Math.max(...runs.map(({ ms }) => ms)));
  const peak = (runs: readonly Persisted[]) => Math.max(...runs.map((run) => run.peakRssMb));
  return [
    {
      name: `kafka persist ${spelled(count)}: topic → files, committed`,
      value: rate(persisted),
      unit: "messages/s",
      target: 64_000,
      better: "higher",
      limit: rate(bare),
      info: [
        { name: "slowest round", value: slowest(persisted), unit: "messages/s", limit: slowest(bare) },
        { name: `processor time for ${spelled(RANGE_MESSAGES)}`, value: cpuS(persisted), unit: "s", limit: cpuS(bare) },
      ],
    },
    {
      name: `kafka persist ${spelled(count)}: peak RSS of the process`,
      value: peak(persisted),
      unit: "MB",
      target: 190,
      better: "lower",
      limit: peak(bare),
    },
  ];
}

function sizeOf({ bytes, objects }: Stored, tight: { stored: number; content: number }, count: number): Figure {
  return {
    name: `kafka persist ${spelled(count)}: stored bytes of a message`,
    value: bytes / count,
    unit: "bytes",
    target: 275,
    better: "lower",
    limit: tight.stored,
    info: [
      { name: "payload, attributes and key", value: tight.content, unit: "bytes" },
      { name: "messages of an object", value: count / objects, unit: "messages" },
    ],
  };
}
