import { afterAll, beforeAll, expect, test } from "vitest";
import { flightsToKafka } from "../adapters/support-kafka.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { ensureBundles } from "../services/bundles.ts";
import { type GcpCloud, gcpCloudMissing, startGcpCloud } from "../services/gcp-cloud.ts";
import { type KafkaBroker, kafkaBrokerMissing, startKafkaBroker } from "../services/kafka-broker.ts";
import { audited, drainsUntilStored, indexed, MOST_DRAINS, stored, storedBy } from "./support-gcp.ts";

const TOPICS = ["drained", "budgeted", "shared", "killed"] as const;
const FLIGHTS = 20_000;

describeWhere(gcpCloudMissing()[0] ?? kafkaBrokerMissing(), "the bundled persist-pull function with a topic of Kafka", () => {
  let cloud: GcpCloud;
  let kafka: KafkaBroker;

  beforeAll(async () => {
    await ensureBundles();
    kafka = await startKafkaBroker({ settings: { "group.min.session.timeout.ms": "1000" } });
    for (const topic of TOPICS) await kafka.createTopic(topic, { partitions: 4 });
    const pipeline = (topic: string) => ({
      source: { broker: "kafka", topic, sessionTimeoutMs: 3_000 },
      store: { kind: "gcs", bucket: "lake", prefix: "raw", path: "{topic}" },
      batch: { maxMessages: 1_000 },
      index: { broker: "pubsub", collection: topic },
      deadLetter: { broker: "pubsub" },
    });
    cloud = await startGcpCloud({
      pipelines: Object.fromEntries(TOPICS.map((topic) => [topic, pipeline(topic)])),
      destinations: {},
      pushed: [],
      environment: { PERSISTOR_KAFKA: JSON.stringify({ brokers: [kafka.host] }), PERSISTOR_LOG_LEVEL: "info" },
    });
  }, 120_000);
  afterAll(async () => {
    await cloud?.stop();
    await kafka?.stop();
  });

  const drain = async (topic: string, parameters = "") => {
    const headers = { authorization: `Bearer ${await cloud.triggerToken()}` };
    const response = await fetch(`${cloud.functions["persist-pull"].url}/persist-pull/${topic}${parameters}`, { method: "POST", headers });
    return response.json() as Promise<Record<string, unknown>>;
  };
  /** Drains until so many are stored, each time to the end, and nothing in vain; resolves with how many were. */
  const drainAll = async (topic: string, count: number) => {
    const answers = await drainsUntilStored(count, () => drain(topic));
    for (const answer of answers) expect(answer).toMatchObject({ released: 0, dead_lettered: 0, is_drained: true });
    return storedBy(answers);
  };
  const digestsOf = async (topic: string) => (await stored(cloud, `raw/${topic}/`)).map(({ digest }) => digest).sort();
  /** Drains once more, and as long as some of so many are missing. */
  const distinctDrained = async (topic: string, count: number): Promise<string[]> => {
    let found = new Set<string>();
    for (let i = 0; i < MOST_DRAINS && found.size < count; i++) {
      await drain(topic);
      found = new Set(await digestsOf(topic));
    }
    return [...found];
  };

  test("stores all that waits and leaves the group, so that the next drain starts at once where this one ended", async () => {
    const expected = await flightsToKafka(kafka.host, "drained", 0, FLIGHTS);
    expect(await drainAll("drained", FLIGHTS)).toBe(FLIGHTS);
    expect(await drain("drained")).toMatchObject({ stored: 0, is_drained: true });
    const more = await flightsToKafka(kafka.host, "drained", FLIGHTS, 1_000);
    expect(await drainAll("drained", 1_000)).toBe(1_000);
    expect(await digestsOf("drained")).toEqual([...expected, ...more].toSorted());
    await indexed(cloud, "drained", FLIGHTS + 1_000);
    expect(await audited(cloud, "drained")).toMatchObject({ records: FLIGHTS + 1_000, indexed: FLIGHTS + 1_000, duplicates: 0 });
  }, 240_000);

  test("ends with its time, and the next call goes on where it was, storing nothing twice", async () => {
    const expected = await flightsToKafka(kafka.host, "budgeted", 0, 4 * FLIGHTS);
    let storedCount = 0;
    for (let i = 0; i < 60 && storedCount < expected.length; i++) storedCount += (await drain("budgeted", "?seconds=2")).stored as number;
    expect(storedCount).toBe(expected.length);
    expect(await digestsOf("budgeted")).toEqual(expected.toSorted());
  }, 240_000);

  test("shares a topic between calls at the same time", async () => {
    const expected = await flightsToKafka(kafka.host, "shared", 0, FLIGHTS);
    const answers = await Promise.all([drain("shared"), drain("shared")]);
    expect(storedBy(await drainsUntilStored(FLIGHTS, () => drain("shared"), answers))).toBeGreaterThanOrEqual(FLIGHTS);
    expect(await distinctDrained("shared", FLIGHTS)).toEqual(expected.toSorted());
    expect(answers.map(({ dead_lettered }) => dead_lettered)).toEqual([0, 0]);
    await indexed(cloud, "shared", FLIGHTS);
  }, 240_000);

  test("goes on after it was killed, without a loss and without a double in the index", async () => {
    const expected = await flightsToKafka(kafka.host, "killed", 0, 4 * FLIGHTS);
    for (let i = 0; i < 3; i++) {
      const cut = drain("killed").catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 700 + 300 * i));
      await cloud.functions["persist-pull"].restart();
      await cut;
    }
    expect(await distinctDrained("killed", expected.length)).toEqual(expected.toSorted());
    await indexed(cloud, "killed", expected.length);
  }, 240_000);
});
