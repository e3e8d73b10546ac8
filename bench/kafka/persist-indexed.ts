import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { KafkaBroker } from "../../tests/services/kafka-broker.ts";
import { type Progress, runChild } from "../lib/child.ts";
import { RANGE_MESSAGES, spelled } from "../lib/context.ts";
import type { Figure } from "../lib/figures.ts";
import type { PersistOrder } from "../lib/persister.ts";
import { startFlags } from "../lib/start-command.ts";
import { percentiles, perSecond } from "../lib/timing.ts";
import type { BareRecordsOrder } from "./lib/bare-records.ts";
import { fillTopic, withBroker } from "./lib/broker.ts";
import { type KafkaBench, roundsOf } from "./lib/context.ts";
import type { Indexed } from "./lib/indexer.ts";
import { environmentOf } from "./lib/settings.ts";

const WARMING_MESSAGES = 20_000;

interface Round {
  indexed: Indexed;
  bareMs: number;
}

/** Persists a topic with indexing on, in a process just started, until every message is queryable; and inserts the same index records bare. */
export const measure: KafkaBench = ({ folder, counts }, progress) =>
  withBroker(async (broker) => {
    await fillTopic(broker, "warming", WARMING_MESSAGES, progress);
    await index(broker, "warming", WARMING_MESSAGES, join(folder, "warming"), progress);
    const figures: Figure[] = [];
    for (const count of counts) {
      const topic = `flights-${count}`;
      await fillTopic(broker, topic, count, progress);
      const rounds: Round[] = [];
      for (let i = 0; i < roundsOf(count); i++) {
        progress(`persisting and indexing ${spelled(count)} messages: ${i} of ${roundsOf(count)} rounds`);
        rounds.push(await measureRound(broker, topic, count, join(folder, topic), progress));
      }
      await broker.deleteTopic(topic);
      figures.push(figureOf(rounds, count));
    }
    return figures;
  });

async function measureRound(broker: KafkaBroker, topic: string, count: number, dataDir: string, progress: Progress): Promise<Round> {
  const indexed = await index(broker, topic, count, dataDir, progress);
  const module = new URL("./lib/bare-records.ts", import.meta.url);
  const bareMs = await runChild<BareRecordsOrder, number>(module, { dataDir, count }, progress);
  await rm(dataDir, { recursive: true, force: true });
  return { indexed, bareMs };
}

function index({ host }: KafkaBroker, topic: string, count: number, dataDir: string, progress: Progress): Promise<Indexed> {
  const order = { environment: environmentOf({ host, topic, dataDir, group: randomUUID() }, true), topic, count };
  return runChild<PersistOrder, Indexed>(new URL("./lib/indexer.ts", import.meta.url), order, progress, startFlags());
}

function figureOf(rounds: readonly Round[], count: number): Figure {
  const median = (read: (round: Round) => number) => percentiles(rounds.map(read)).p50;
  const rate = (read: (round: Round) => number) => perSecond(count, median(read));
  return {
    name: `kafka persist ${spelled(count)}, indexed: until all are queryable`,
    value: rate(({ indexed }) => indexed.ms),
    unit: "messages/s",
    target: 20_000,
    better: "higher",
    limit: rate(({ bareMs }) => bareMs),
    info: [
      { name: "slowest round", value: perSecond(count, Math.max(...rounds.map(({ indexed }) => indexed.ms))), unit: "messages/s" },
      { name: "until all are committed at Kafka", value: rate(({ indexed }) => indexed.committedMs), unit: "messages/s" },
      {
        name: `processor time for ${spelled(RANGE_MESSAGES)}`,
        value: (median(({ indexed }) => indexed.cpuS) * RANGE_MESSAGES) / count,
        unit: "s",
      },
      { name: "peak RSS of the process", value: Math.max(...rounds.map(({ indexed }) => indexed.peakRssMb)), unit: "MB" },
    ],
  };
}
