import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { ServiceBusServer } from "../../tests/services/service-bus-server.ts";
import { type Progress, runChild } from "../lib/child.ts";
import { spelled } from "../lib/context.ts";
import type { Figure } from "../lib/figures.ts";
import { FLIGHTS } from "../lib/flights.ts";
import type { Persisted, PersistOrder } from "../lib/persister.ts";
import { startFlags } from "../lib/start-command.ts";
import { percentiles, perSecond } from "../lib/timing.ts";
import type { ReceiveOrder } from "./lib/bare-receiver.ts";
import type { AzureBench } from "./lib/context.ts";
import { ENTITY, loadFlights, withServiceBus } from "./lib/service-bus.ts";

const ROUNDS = 3;
const WARMING_MESSAGES = 5_000;
const OURS = "persistor";
const BARE = "bare";

interface Round {
  persisted: Persisted;
  bare: Persisted;
}

/** A process just started persists a subscription into files, and the SDK's own receiver empties another of the same messages; each in a process of its own. */
export const measure: AzureBench = ({ folder, count }, progress) =>
  withServiceBus(async (server) => {
    const dataDir = join(folder, "data");
    await server.createTopic(FLIGHTS, { [OURS]: ENTITY, [BARE]: ENTITY });
    await measureRound(server, WARMING_MESSAGES, dataDir, 0, () => progress("warming up"));
    const rounds: Round[] = [];
    for (let i = 0; i < ROUNDS; i++) {
      const at: Progress = (text) => progress(`round ${i + 1} of ${ROUNDS}: ${text}`);
      rounds.push(await measureRound(server, count, dataDir, i, at));
    }
    return figuresOf(rounds, count);
  });

/** By turns, one after the other goes first. */
async function measureRound(server: ServiceBusServer, count: number, dataDir: string, i: number, progress: Progress): Promise<Round> {
  await rm(dataDir, { recursive: true, force: true });
  await loadFlights(server, FLIGHTS, count, progress);
  if (i % 2 === 1) {
    const persisted = await persist(server, count, dataDir, progress);
    return { persisted, bare: await receiveBare(server, count, progress) };
  }
  const bare = await receiveBare(server, count, progress);
  return { persisted: await persist(server, count, dataDir, progress), bare };
}

function persist({ connectionString }: ServiceBusServer, count: number, dataDir: string, progress: Progress): Promise<Persisted> {
  progress("persisting");
  const source = { broker: "service-bus", topic: FLIGHTS, subscription: OURS };
  const environment = {
    PERSISTOR_DATA_DIR: dataDir,
    PERSISTOR_SERVICE_BUS: connectionString,
    PERSISTOR_PIPELINES: JSON.stringify({ [FLIGHTS]: { source, store: { kind: "fs" } } }),
  };
  const order = { environment, topic: FLIGHTS, count };
  return runChild<PersistOrder, Persisted>(new URL("../lib/persister.ts", import.meta.url), order, progress, startFlags());
}

function receiveBare({ connectionString }: ServiceBusServer, count: number, progress: Progress): Promise<Persisted> {
  progress("receiving bare");
  const order = { connectionString, topic: FLIGHTS, subscription: BARE, count };
  return runChild<ReceiveOrder, Persisted>(new URL("./lib/bare-receiver.ts", import.meta.url), order, progress);
}

function figuresOf(rounds: readonly Round[], count: number): Figure[] {
  const persisted = rounds.map((round) => round.persisted);
  const bare = rounds.map((round) => round.bare);
  const rate = (runs: readonly Persisted[]) => perSecond(count, percentiles(runs.map(({ ms }) => ms)).p50);
  const slowest = (runs: readonly Persisted[]) => perSecond(count, Math.max(...runs.map(({ ms }) => ms)));
  const cpuS = (runs: readonly Persisted[]) => percentiles(runs.map((run) => run.cpuS)).p50;
  const peak = (runs: readonly Persisted[]) => Math.max(...runs.map((run) => run.peakRssMb));
  return [
    {
      name: `service-bus persist ${spelled(count)}: share of a bare SDK receiver`,
      value: rate(persisted) / rate(bare),
      unit: "ratio",
      target: 0.8,
      better: "higher",
      limit: 1,
      info: [
        { name: "subscription → files, acknowledged", value: rate(persisted), unit: "messages/s", limit: rate(bare) },
        { name: "slowest round", value: slowest(persisted), unit: "messages/s", limit: slowest(bare) },
        { name: "processor time of the process", value: cpuS(persisted), unit: "s", limit: cpuS(bare) },
        { name: "peak RSS of the process", value: peak(persisted), unit: "MB", limit: peak(bare) },
      ],
    },
  ];
}
