import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { describeWhere } from "../contract/support-ports.ts";
import { type KafkaBroker, kafkaBrokerMissing, startKafkaBroker } from "../services/kafka-broker.ts";
import type { KillStep } from "../services/kill-steps.ts";
import { openRig, type Rig } from "./support-kafka.ts";
import { type Consumer, endLeftConsumers, startConsumer } from "./support-kafka-children.ts";
import { expectWhole, missingBelow } from "./support-kafka-judging.ts";
import { until } from "./support-local.ts";

const KILLS = 50;
const JUDGED_KILLS = 6;

let kafka: KafkaBroker;
let rig: Rig;

/** The rest of a consumer's life is 0.2 to 1.5 s, the short ones being more. */
const liveOn = () => sleep(200 + 1_300 * Math.random() ** 2);

async function killAtRandom(consumer: Consumer): Promise<void> {
  await consumer.hasJoined();
  await liveOn();
  await consumer.kill();
}

describeWhere(kafkaBrokerMissing(), "a pipeline from Kafka", () => {
  beforeAll(async () => {
    kafka = await startKafkaBroker();
  });
  afterEach(async () => {
    await endLeftConsumers();
    await rig?.dispose();
  });
  afterAll(() => kafka?.stop());

  test(`loses, alters and doubles nothing when it is killed ${KILLS} times at random moments while messages come`, async ({ annotate }) => {
    rig = await openRig(kafka, { index: "embedded" });
    rig.writer.start();
    for (let round = 0; round < KILLS; round++) await killAtRandom(await startConsumer(rig));
    await expectWhole(rig, annotate);
  }, 900_000);

  test("has committed no offset above a message that is neither stored nor dead-lettered, whenever it is killed", async ({ annotate }) => {
    rig = await openRig(kafka, {
      index: "embedded",
      hasDeadLetters: true,
      change: () => ({ batch: { maxMessages: 40, maxWaitMs: 20, maxMessageBytes: 50_000 } }),
    });
    rig.writer.start();
    const sumOf = (committed: Map<number, number>) => committed.values().reduce((sum, offset) => sum + offset, 0);
    let below = 0;
    for (let round = 1; round <= JUDGED_KILLS; round++) {
      const consumer = await startConsumer(rig, { slowPutMs: [0, 400] });
      if (round === JUDGED_KILLS) await until("a commit", async () => sumOf(await rig.committed()) > 0);
      await killAtRandom(consumer);
      const committed = await rig.committed();
      const kept = [...(await rig.stored()), ...(await rig.deadLetters())];
      expect(missingBelow(committed, rig.writer.sent, kept)).toEqual([]);
      below = sumOf(committed);
    }
    expect(below).toBeGreaterThan(0);
    await annotate(`${below} messages below the offsets`);
    const { deadLetters } = await expectWhole(rig, annotate);
    expect(deadLetters).toBeGreaterThan(0);
  }, 120_000);

  test.for<KillStep>(["before put", "after put", "after hand-over", "before settle"])(
    "that kills itself %s loses, alters and doubles nothing",
    { timeout: 120_000 },
    async (step, { annotate }) => {
      rig = await openRig(kafka, { index: "embedded" });
      rig.writer.start();
      for (let round = 0; round < 2; round++) {
        const consumer = await startConsumer(rig, { step, spared: Math.floor(Math.random() * 4) });
        expect(await consumer.ended()).toBe(true);
      }
      await expectWhole(rig, annotate);
    },
  );

  test.for(["embedded", "kafka"] as const)(
    "whose indexer is killed again and again, before it acknowledges an upsert or at random, indexes every message once from a topic of %s",
    { timeout: 120_000 },
    async (index, { annotate }) => {
      rig = await openRig(kafka, { index });
      rig.writer.start();
      const runs = index === "kafka" ? "index" : "all";
      if (runs === "index") await startConsumer(rig, { runs: "persist" });
      for (let round = 0; round < 4; round++) {
        const dying = await startConsumer(rig, { runs, step: "after upsert", spared: Math.floor(Math.random() * 4) });
        expect(await dying.ended()).toBe(true);
        await killAtRandom(await startConsumer(rig, { runs }));
      }
      await endLeftConsumers();
      await expectWhole(rig, annotate);
    },
  );
});
