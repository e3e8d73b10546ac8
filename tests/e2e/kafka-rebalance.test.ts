import { setTimeout as sleep } from "node:timers/promises";
import { Admin } from "@platformatic/kafka";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { open } from "../../shared/adapters/brokers/kafka/adapter.ts";
import type { Broker } from "../../shared/adapters/registry.ts";
import type { Source } from "../../shared/core/ports/source.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { type KafkaBroker, kafkaBrokerMissing, startKafkaBroker } from "../services/kafka-broker.ts";
import { openRig, type Rig, SESSION_MS } from "./support-kafka.ts";
import { type Consumer, endLeftConsumers, startConsumer } from "./support-kafka-children.ts";
import { expectWhole } from "./support-kafka-judging.ts";
import { textContent, until } from "./support-local.ts";

/** The longest time between two questions of a consumer whether it still is a member. */
const MOST_HEARTBEAT_MS = 3_000;
const CLEAN = { code: 0, signal: null };

let kafka: KafkaBroker;
let rig: Rig;

const persister = (slowPutMs: [number, number] = [100, 600]) => startConsumer(rig, { runs: "persist", slowPutMs });
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
    for (let round = 0; round < 8; round++) {
      consumers.push(await persister());
      // Others are just giving up partitions, or have.
      await sleep(200 + 700 * Math.random());
      await anyOf(consumers).kill();
      if (round % 2 === 0) continue;
      expect(await anyOf(consumers).terminate()).toEqual(CLEAN);
      consumers.push(await persister());
    }
    for (const consumer of consumers) expect(await consumer.terminate()).toEqual(CLEAN);
    await endLeftConsumers();
    await expectWhole(rig, annotate);
  }, 120_000);

  test("lose, alter and double nothing when one of them freezes for longer than its session and then goes on", async ({ annotate }) => {
    rig = await openRig(kafka, { index: "kafka" });
    rig.writer.start();
    const [frozen, other] = [await persister([300, 600]), await persister([300, 600])];
    for (const consumer of [frozen, other]) await consumer.hasJoined();
    for (let round = 0; round < 3; round++) {
      const before = other.joined();
      const frozenBefore = frozen.joined();
      await frozen.freeze();
      await sleep(2.5 * SESSION_MS);
      await until("the other to be given its partitions", () => other.joined() > before);
      frozen.thaw();
      await until("the frozen one to be given partitions again", () => frozen.joined() > frozenBefore);
      await sleep(500);
    }
    for (const consumer of [frozen, other]) expect(await consumer.terminate()).toEqual(CLEAN);
    await expectWhole(rig, annotate);
  }, 120_000);

  test("stay in their group while a put takes longer than the session, and store nothing twice when another comes and leaves", async ({
    annotate,
  }) => {
    const source = (topic: string) => ({ broker: "kafka", topic, subscription: `${topic}-persistor`, sessionTimeoutMs: 4_000 });
    rig = await openRig(kafka, { index: "kafka", change: (topic) => ({ source: source(topic), batch: { maxWaitMs: 50 } }) });
    rig.writer.start();
    const slow: [number, number] = [4_500, 5_000];
    const first = await persister(slow);
    await first.hasJoined();
    await sleep(6_000);
    expect(first.joined()).toBe(1);
    const second = await persister(slow);
    await second.hasJoined();
    await sleep(5_000);
    expect(await second.terminate()).toEqual(CLEAN);
    await sleep(3_000);
    expect(await first.terminate()).toEqual(CLEAN);
    const { copies, published } = await expectWhole(rig, annotate);
    expect(copies).toBe(published);
  }, 120_000);

  test("of which one was taken for dead reads nothing again that the others have settled since", async () => {
    const topic = "taken-for-dead";
    await kafka.createTopic(topic, { partitions: 2 });
    // The first one asks seldom whether it is still a member, the other one often.
    const brokers = await Promise.all(["slow", "quick"].map((clientId) => open({ brokers: [kafka.host], clientId }, { dataDir: "" })));
    const openSource = (of: number, sessionTimeoutMs: number) =>
      (brokers[of] as Broker).openSource({ id: topic, topic, subscription: topic, own: { sessionTimeoutMs } });
    const [slow, quick] = [await openSource(0, 30_000), await openSource(1, SESSION_MS)];
    const numbers: number[] = [];
    const publish = () => {
      numbers.push(numbers.length, numbers.length + 1);
      const contents = [0, 1].map((i) => ({ ...textContent(String(numbers.length - 2 + i), { contentType: "" }), toPartition: String(i) }));
      return (brokers[0] as Broker).publisher.publish(topic, contents);
    };
    const ofSlow: string[] = [];
    const ofQuick: string[] = [];
    // Who comes first keeps the first partition, also later: the slow one gets its own back.
    await quick.receive({ maxMessages: 0, maxBytes: 0, maxWaitMs: 0 });
    await until("both to read a partition", async () => {
      await publish();
      ofSlow.push(...(await textsOf(slow, 1, 1)));
      ofQuick.push(...(await textsOf(quick, 1, 1)));
      return ofSlow.length > 0 && ofQuick.length > 0 && numbers.length === ofSlow.length + ofQuick.length;
    });
    await until("the quick one to read both", async () => {
      await removeMember(kafka.host, topic, "slow");
      await publish();
      const before = ofQuick.length;
      ofQuick.push(...(await textsOf(quick, 100, 1)));
      return ofQuick.length >= before + 2 && numbers.length === ofSlow.length + ofQuick.length;
    });
    // Meanwhile the slow one asks, and is told.
    await sleep(2 * MOST_HEARTBEAT_MS);
    await publish();
    await until("everything to be read", async () => {
      ofSlow.push(...(await textsOf(slow, 100, 1)));
      ofQuick.push(...(await textsOf(quick, 100, 1)));
      return new Set([...ofSlow, ...ofQuick]).size === numbers.length;
    });
    expect([...ofSlow, ...ofQuick].map(Number).toSorted((a, b) => a - b)).toEqual(numbers);
    for (const broker of brokers) await broker.close();
  }, 180_000);

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

/** Takes a member for dead. */
async function removeMember(host: string, groupId: string, clientId: string): Promise<void> {
  const admin = new Admin({ clientId: "tests", bootstrapBrokers: [host] });
  const group = (await admin.describeGroups({ groups: [groupId] })).get(groupId);
  const members = [...(group?.members.values() ?? [])].filter((member) => member.clientId === clientId);
  if (members.length > 0) {
    await admin.removeMembersFromConsumerGroup({ groupId, members: members.map(({ id }) => ({ memberId: id })) }).catch(() => undefined);
  }
  await admin.close();
}

/** Receives until so many messages have come, or nothing comes any more. */
async function textsOf(source: Source, count: number, rounds = 10): Promise<string[]> {
  const texts: string[] = [];
  for (let round = 0; texts.length < count && round < rounds; round++) {
    const deliveries = await source.receive({ maxMessages: count, maxBytes: 1e9, maxWaitMs: 1_000 });
    texts.push(...deliveries.map(({ message }) => Buffer.from(message.payload).toString()));
    await source.acknowledge(deliveries);
  }
  return texts;
}
