import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { open } from "../../shared/adapters/brokers/kafka/adapter.ts";
import { uniqueIdOf } from "../../shared/core/message.ts";
import type { Delivery } from "../../shared/core/ports/source.ts";
import type { PortWrappers } from "../../shared/runtime/compose.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { type KafkaBroker, kafkaBrokerMissing, startKafkaBroker } from "../services/kafka-broker.ts";
import { openRig, PARTITIONS, type Rig } from "./support-kafka.ts";
import { expectWhole } from "./support-kafka-judging.ts";
import { nastyContent } from "./support-kafka-writing.ts";
import { until } from "./support-local.ts";

let kafka: KafkaBroker;
let rig: Rig;
let number = 0;

/** So many messages, dealt out evenly to the partitions: the places are the same each time that the topic is made. */
const contents = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ ...nastyContent(number++), toPartition: String(i % PARTITIONS) }));

async function makeTopicAgain(): Promise<void> {
  await kafka.deleteTopic(rig.topic);
  await kafka.createTopic(rig.topic, { partitions: PARTITIONS });
}

describeWhere(kafkaBrokerMissing(), "a pipeline from Kafka", () => {
  beforeAll(async () => {
    kafka = await startKafkaBroker();
  });
  afterEach(() => rig?.dispose());
  afterAll(() => kafka?.stop());

  test("keeps what both lives of a topic held that was made again while nobody read it, although offsets of the first are there", async ({
    annotate,
  }) => {
    rig = await openRig(kafka, { index: "embedded" });
    await rig.writer.publish(contents(320));
    const local = await rig.open();
    await rig.drained(local);
    await local.stop();
    const commitLate = await rig.lateCommit();
    await makeTopicAgain();
    await rig.writer.publish(contents(480));
    await commitLate();
    const { indexed } = await expectWhole(rig, annotate);
    expect(indexed).toBe(800);
  });

  test("keeps what both lives of a topic held that was made again while it was read, and messages of the first were being stored", async ({
    annotate,
  }) => {
    rig = await openRig(kafka, { index: "embedded" });
    const gate = Promise.withResolvers<void>();
    const received = new Set<string>();
    const wrap: PortWrappers = {
      source: (source) => ({
        ...source,
        async receive(options) {
          const deliveries = await source.receive(options);
          for (const { message } of deliveries) if (message.topic === rig.topic) received.add(uniqueIdOf(message));
          return deliveries;
        },
      }),
      store: (store) => ({ ...store, put: (...put) => gate.promise.then(() => store.put(...put)) }),
    };
    const local = await rig.open({ wrap });
    await rig.writer.publish(contents(320));
    await until("all of the first life to be received", () => received.size === 320);
    await makeTopicAgain();
    await rig.writer.publish(contents(480));
    await sleep(1_000);
    gate.resolve();
    const { indexed } = await expectWhole(rig, annotate, local);
    expect(indexed).toBe(800);
    await local.dispose();
  });

  test("makes up for a commit that failed while the broker was away, although no more messages come", async () => {
    rig = await openRig(kafka, { index: "embedded" });
    await rig.writer.publish(contents(PARTITIONS));
    const broker = await open({ brokers: [kafka.host] }, { dataDir: "" });
    const source = await broker.openSource({ id: rig.topic, topic: rig.topic, subscription: rig.group, own: { sessionTimeoutMs: 30_000 } });
    const deliveries: Delivery[] = [];
    await until("all messages", async () => {
      deliveries.push(...(await source.receive({ maxMessages: 1_000, maxBytes: 1e9, maxWaitMs: 100 })));
      return deliveries.length === PARTITIONS;
    });
    await kafka.kill();
    await expect(source.acknowledge(deliveries)).rejects.toMatchObject({ code: "broker_unavailable" });
    await kafka.restart();
    const none = new Map<number, number>();
    await until("a commit", async () => {
      const committed = await rig.committed().catch(() => none);
      return committed.values().reduce((sum, offset) => sum + offset, 0) === PARTITIONS;
    });
    await broker.close();
  });

  test("goes on when its broker is restarted, and when it is killed and restarted, and loses, alters and doubles nothing", async ({
    annotate,
  }) => {
    rig = await openRig(kafka, { index: "kafka" });
    rig.writer.start();
    const local = await rig.open();
    await local.indexed("orders", 500);
    await kafka.restart();
    const before = rig.writer.sent.size;
    await local.indexed("orders", before + 500);
    await kafka.kill();
    await kafka.restart();
    await local.indexed("orders", rig.writer.sent.size + 500);
    await expectWhole(rig, annotate, local);
    await local.dispose();
  }, 120_000);
});
