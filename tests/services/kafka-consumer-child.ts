import type { Socket } from "node:net";
import { indexLocally } from "../../functions/index/local.ts";
import type { Pipeline } from "../../shared/core/pipeline.ts";
import { type Log, NO_LOG } from "../../shared/core/ports/log.ts";
import { NO_METER } from "../../shared/core/ports/meter.ts";
import { systemClock } from "../../shared/runtime/clock.ts";
import { type Composition, compose } from "../../shared/runtime/compose.ts";
import { freeAbandoned } from "../../shared/runtime/local/abandoned.ts";
import { startFunctions } from "../../shared/runtime/local/functions.ts";
import { persistSource } from "../../shared/runtime/persist-source.ts";
import { createPorts, type PortOptions } from "../../shared/runtime/ports.ts";
import { readSettings } from "../../shared/runtime/settings/settings.ts";
import { type KillPlan, killingPorts } from "./kill-steps.ts";

// Runs the pipeline `orders`, or a part of it, until it is told to end by SIGTERM, is killed, or kills itself at a step.
// Says `ready` once it can be told to end, and `joined <topic> <partitions>` whenever it was given partitions of a topic.

/** What runs: persist and index as on the local host, or one of them alone. */
export interface ConsumerPlan extends KillPlan {
  runs: "all" | "persist" | "index";
  /** How long each put takes at least, and at most, beyond what it takes by itself. */
  slowPutMs: [least: number, most: number];
  /** Of the indexer, where its topic is Kafka's. */
  indexSessionMs: number;
}

const INDEXER_GROUP = "persistor-indexer";
const plan = JSON.parse(process.argv[2] as string) as ConsumerPlan;
const [least, most] = plan.slowPutMs;
const settings = readSettings(process.env);
const ended = new AbortController();

// Nothing outlives the test that started it.
process.stdin.on("end", () => process.exit(1)).resume();
(process.stdin as unknown as Socket).unref();

const say = (event: string, fields: Readonly<Record<string, unknown>> = {}) => {
  if (event !== "partitions assigned") return;
  process.stdout.write(`joined ${fields.topic} ${(fields.partitions as number[]).length}\n`);
};
const log: Log = { ...NO_LOG, info: say, child: () => log };
const killing = killingPorts(plan);
const options: PortOptions = {
  clock: systemClock,
  log,
  meter: NO_METER,
  wrap: {
    ...killing,
    store(store) {
      const dying = killing.store(store);
      return {
        ...dying,
        async put(key, bytes, put) {
          await systemClock.sleep(least + Math.random() * (most - least));
          return dying.put(key, bytes, put);
        },
      };
    },
  },
};

async function persistAlone(): Promise<void> {
  const ports = createPorts(settings, options);
  const [pipeline, source] = await Promise.all([ports.pipeline("orders"), ports.openSource("orders")]);
  await persistSource(pipeline, source, ports, { signal: ended.signal });
  await source.close();
  await ports.close();
}

/** The same, but that an indexer which was killed gives way to the next one soon. */
async function composed(): Promise<Composition> {
  const composition = await compose(settings, options);
  const own = { sessionTimeoutMs: plan.indexSessionMs };
  const isIndexer = (subscription: string) => subscription === INDEXER_GROUP && settings.pipelines.orders?.index?.broker === "kafka";
  return {
    ...composition,
    openTopic: (broker, source) => composition.openTopic(broker, isIndexer(source.subscription) ? { ...source, own } : source),
  };
}

async function indexAlone(): Promise<void> {
  const composition = await composed();
  const pipeline = composition.pipelines.get("orders") as Pipeline;
  const broker = await composition.broker("kafka");
  const topic = pipeline.index?.topic as string;
  const source = await composition.openTopic(broker, { id: topic, topic, subscription: INDEXER_GROUP });
  await indexLocally(pipeline, source, composition, ended.signal);
  await composition.close();
}

async function all(): Promise<void> {
  const composition = await composed();
  await freeAbandoned(composition);
  const functions = await startFunctions(composition);
  await new Promise((resolve) => ended.signal.addEventListener("abort", resolve));
  await functions.stop();
  await composition.close();
}

process.once("SIGTERM", () => ended.abort());
process.stdout.write("ready\n");
await { all, persist: persistAlone, index: indexAlone }[plan.runs]();
