import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { open } from "../../shared/adapters/brokers/kafka/adapter.ts";
import type { Source } from "../../shared/core/ports/source.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { type KafkaBroker, kafkaBrokerMissing, startKafkaBroker } from "../services/kafka-broker.ts";
import { openRig, type Rig, SESSION_MS } from "./support-kafka.ts";
import { type Consumer, endLeftConsumers, startConsumer } from "./support-kafka-children.ts";
import { expectWhole } from "./support-kafka-judging.ts";
import { textContent } from "./support-local.ts";

const CLEAN = { code: 0, signal: null };

let kafka: KafkaBroker;
let rig: Rig;

const persister = (slowPutMs: [number, number] = [0, 200]) => startConsumer(rig, { runs: "persist", slowPutMs });
const anyOf = (consumers: Consumer[]) => consumers.splice(Math.floor(Math.random() * consumers.length), 1)[0] as Consumer;

describeWhere(kafkaBrokerMissing(), "the consumers of a group of Kafka", () => {
  beforeAll(async () => {
    kafka = await startKafkaBroker();
  });
  afterEach(async () => {
    await endLeftConsumers();
    await rig?.dispose();
  });
  afterAll(() => kafka?.stop());

  test("lose, alter and double nothing when they come, leave and are killed while messages come", async ({ annotate }) => {
    rig = await openRig(kafka, { index: "kafka" });
    rig.writer.start();
    await startConsumer(rig, { runs: "index" });
    const consumers = [await persister(), await persister()];
    for (const consumer of consumers) await consumer.hasJoined();
    const t0 = Date.now(); const say = (x: string) => process.stderr.write(`${Date.now() - t0} ${x}\n`);
    for (let round = 0; round < 5; round++) {
      say("push");
      consumers.push(await persister());
      say("pushed");
      await sleep(1_500 * Math.random());
      say("terminate");
      expect(await anyOf(consumers).terminate()).toEqual(CLEAN);
      say("terminated");
      await sleep(1_000 * Math.random());
      consumers.push(await persister());
      await sleep(1_000 * Math.random());
      await anyOf(consumers).kill();
    }
    for (const consumer of consumers) expect(await consumer.terminate()).toEqual(CLEAN);
    say("all terminated");
    await endLeftConsumers();
    await expectWhole(rig, annotate);
    say("whole");
  }, 120_000);

  test("lose, alter and double nothing when one of them freezes for longer than its session and then goes on", async ({ annotate }) => {
    rig = await openRig(kafka, { index: "kafka" });
    rig.writer.start();
    const [frozen, other] = [await persister([300, 600]), await persister([300, 600])];
    for (const consumer of [frozen, other]) await consumer.hasJoined();
    for (let round = 0; round < 3; round++) {
      const before = other.joined();
      frozen.freeze();
      await sleep(2.5 * SESSION_MS);
      expect(other.joined()).toBeGreaterThan(before);
      frozen.thaw();
      await sleep(1_000);
    }
    for (const consumer of [frozen, other]) expect(await consumer.terminate()).toEqual(CLEAN);
    await expectWhole(rig, annotate);
  }, 120_000);

  test("stay in their group while a put takes longer than the session, and store nothing twice when another comes and leaves", async ({
    annotate,
  }) => {
    const source = (topic: string) => ({ broker: "kafka", topic, subscription: `${topic}-persistor`, sessionTimeoutMs: 2_000 });
    rig = await openRig(kafka, { index: "kafka", change: (topic) => ({ source: source(topic), batch: { maxWaitMs: 50 } }) });
    rig.writer.start();
    const slow: [number, number] = [2_500, 3_000];
    const first = await persister(slow);
    await first.hasJoined();
    await sleep(7_000);
    expect(first.joined()).toBe(1);
    const second = await persister(slow);
    await second.hasJoined();
    await sleep(4_000);
    expect(await second.terminate()).toEqual(CLEAN);
    await sleep(3_000);
    expect(await first.terminate()).toEqual(CLEAN);
    const { copies, published } = await expectWhole(rig, annotate);
    expect(copies).toBe(published);
  }, 120_000);

  test("that read different topics get each its own", async () => {
    const topics = ["several-1", "several-2", "several-3"];
    for (const topic of topics) await kafka.createTopic(topic, { partitions: 3 });
    const broker = await open({ brokers: [kafka.host] }, { dataDir: "" });
    const sources = await Promise.all(topics.map((topic) => broker.openSource({ id: topic, topic, subscription: "several" })));
    const texts = Array.from({ length: 30 }, (_, i) => `${i}`);
    const contents = texts.map((text, i) => ({ ...textContent(text, { contentType: "" }), toPartition: String(i % 3) }));
    const receiving = sources.map((source) => textsOf(source, texts.length));
    for (const topic of topics) await broker.publisher.publish(topic, contents);
    for (const received of receiving) expect((await received).sort()).toEqual(texts.toSorted());
    await broker.close();
  });
});

/** Receives until so many messages have come, or nothing comes any more. */
async function textsOf(source: Source, count: number): Promise<string[]> {
  const texts: string[] = [];
  for (let round = 0; texts.length < count && round < 10; round++) {
    const deliveries = await source.receive({ maxMessages: count, maxBytes: 1e9, maxWaitMs: 1_000 });
    texts.push(...deliveries.map(({ message }) => Buffer.from(message.payload).toString()));
    await source.acknowledge(deliveries);
  }
  return texts;
}
