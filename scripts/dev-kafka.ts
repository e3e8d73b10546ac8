import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { open } from "../shared/adapters/brokers/kafka/adapter.ts";
import { protocolCodeOf } from "../shared/adapters/brokers/kafka/wire/protocol-errors.ts";
import { errorText } from "../shared/core/errors.ts";
import { MATCH_ALL } from "../shared/core/filter/ast.ts";
import type { OutgoingMessage } from "../shared/core/ports/publisher.ts";
import { loadSample } from "../shared/runtime/local/first-run/sample.ts";
import { type LocalHost, startHost } from "../shared/runtime/local/host.ts";
import { createLog } from "../shared/runtime/log.ts";
import { readSettings } from "../shared/runtime/settings/settings.ts";
import { createTopic } from "../tests/services/kafka/admin.ts";
import { type KafkaBroker, kafkaBrokerMissing, startKafkaBroker } from "../tests/services/kafka-broker.ts";
import { fetchPrograms } from "../tests/services/programs.ts";

// `npm run dev:kafka`: a Kafka broker with the sample flights, and the local host that archives them, until Ctrl-C.

const KAFKA_PORT = 9092;
const TOPICS = ["flights", "flights-replay"] as const;
const PARTITIONS = 4;
const MESSAGES_PER_CALL = 2_000;
const POLL_MS = 50;

const pipeline = (topic: string) => ({
  source: { broker: "kafka", topic },
  store: { name: "local", path: "{topic}/{year}/{month}/{day}/{hour}" },
  batch: { maxWaitMs: 1_000 },
  index: { collection: topic },
  deadLetter: {},
});
const PIPELINES = Object.fromEntries(TOPICS.map((topic) => [topic, pipeline(topic)]));
const DESTINATIONS = {
  replay: { broker: "kafka", topic: "flights-replay" },
  restore: { broker: "kafka", topic: "flights-replay", keep: ["partition", "timestamp"] },
};

const stopped = new Promise<void>((resolve) => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
});
const closers: (() => unknown)[] = [];
try {
  await run();
} catch (error) {
  console.error(errorText(error));
  process.exitCode = 1;
}
for (const close of closers.reverse()) await close();
process.exit();

async function run(): Promise<void> {
  const given = process.env.PERSISTOR_KAFKA;
  const kafka = given ?? JSON.stringify({ brokers: [(await ownBroker()).host] });
  const [host = ""] = (JSON.parse(kafka) as { brokers: string[] }).brokers;
  const dataDir = mkdtempSync(join(tmpdir(), "persistor-dev-kafka-"));
  closers.push(() => rmSync(dataDir, { recursive: true, force: true }));
  for (const topic of TOPICS) await createTopic(host, topic, { partitions: PARTITIONS }).catch(unlessThere);
  const settings = readSettings({
    ...process.env,
    PERSISTOR_DATA_DIR: dataDir,
    PERSISTOR_SAMPLE: "off",
    PERSISTOR_KAFKA: kafka,
    PERSISTOR_PIPELINES: JSON.stringify(PIPELINES),
    PERSISTOR_DESTINATIONS: JSON.stringify(DESTINATIONS),
  });
  const local = await startHost(settings, createLog({ level: settings.logLevel }));
  closers.push(() => local.close());
  console.log(`Kafka on ${host}, with topics ${TOPICS.join(" and ")} of ${PARTITIONS} partitions. Persistor on ${local.url}.`);
  const count = await produce(kafka);
  console.log(`Produced ${count.toLocaleString("en-US")} flights to topic flights, keyed by origin.`);
  await Promise.race([indexed(local, count), stopped]);
  show(local.url, dataDir);
  await stopped;
  console.log("Stopping.");
}

async function ownBroker(): Promise<KafkaBroker> {
  await fetchPrograms((text) => console.log(text));
  const missing = kafkaBrokerMissing();
  if (missing)
    throw new Error(`Kafka cannot run here: ${missing}. With one that runs already, set PERSISTOR_KAFKA={"brokers": ["host:port"]}.`);
  console.log("Starting Kafka …");
  const broker = await startKafkaBroker({ port: KAFKA_PORT });
  closers.push(() => broker.stop());
  return broker;
}

function unlessThere(error: unknown): void {
  if (protocolCodeOf(error) !== "TOPIC_ALREADY_EXISTS") throw error;
}

/** What an application does that knows nothing of Persistor. */
async function produce(kafka: string): Promise<number> {
  const flights = (await loadSample())?.find(({ topic }) => topic === "flights")?.messages ?? [];
  const broker = await open(JSON.parse(kafka), { dataDir: "" });
  const messages = flights.map(({ message }): OutgoingMessage => {
    const origin = message.attributes.find(({ name }) => name === "origin")?.value ?? "";
    return { ...broker.publisher.adapt(message), key: Buffer.from(origin as string) };
  });
  for (let from = 0; from < messages.length; from += MESSAGES_PER_CALL) {
    for (const outcome of await broker.publisher.publish("flights", messages.slice(from, from + MESSAGES_PER_CALL))) {
      if (!outcome.ok) throw outcome.error;
    }
  }
  await broker.close();
  return messages.length;
}

async function indexed({ composition }: LocalHost, count: number): Promise<void> {
  const countNow = async () => (await composition.index.summarize("flights", MATCH_ALL))[0]?.count ?? 0;
  while ((await countNow()) < count) await composition.clock.sleep(POLL_MS);
  console.log("All of them are stored and indexed.");
}

function show(url: string, dataDir: string): void {
  const json = "-H 'content-type: application/json'";
  const late = `'{"filters": [{"additional_metadata.origin": "LAX", "additional_metadata.delay": {"$gt": 120}}]}'`;
  console.log(`
Objects in ${dataDir}/objects

query     curl -s '${url}/indexer/query/flights?limit=1&count=true' ${json} -d ${late}
resubmit  curl -s '${url}/resubmitter/query/flights?topic=replay' ${json} -d ${late}
look      curl -s '${url}/indexer/query/flights-replay?limit=1&count=true' ${json} -d ${late}
as it was curl -s '${url}/resubmitter/query/flights?topic=restore&ordered=true' ${json} -d ${late}
ready     curl -s ${url}/readyz

Stop with Ctrl-C; nothing is kept.`);
}
