import { MongoClient } from "mongodb";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { MessageContent } from "../../shared/core/message.ts";
import { messageOf } from "../contract/support-messages.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { type AzureCloud, azureCloudMissing, startAzureCloud } from "../services/azure-cloud.ts";
import { ensureBundles } from "../services/bundles.ts";
import { type KafkaBroker, kafkaBrokerMissing, startKafkaBroker } from "../services/kafka-broker.ts";
import { audited, call, countOf, ended, flight, indexed, pipelineOf, stored } from "./support-azure.ts";
import { drain, expectEachOnce, publishTo, QUICK } from "./support-azure-brokers.ts";

const FLIGHTS = 2_000;
const SLICE = 200;
const PARTITIONS = 4;
const MAX_MESSAGE_BYTES = 20_000;
const TOPICS = ["orders", "again", "persistor-index", "persistor-dead-letter", "persistor-work"];

describeWhere(azureCloudMissing() ?? kafkaBrokerMissing(), "the function app without Service Bus", () => {
  describe.each(["event-hubs", "kafka"] as const)("all at %s", (broker) => {
    let cloud: AzureCloud;
    let kafka: KafkaBroker | undefined;
    let digests: string[];

    beforeAll(async () => {
      if (broker === "kafka") kafka = await startKafkaBroker({ settings: { "group.initial.rebalance.delay.ms": "0" } });
      await Promise.all([ensureBundles(), ...TOPICS.map((topic) => kafka?.createTopic(topic, { partitions: PARTITIONS }))]);
      const pipeline = (name: string) =>
        pipelineOf({ broker, topic: name, subscription: "archive" }, name, {
          index: { broker, collection: name },
          deadLetter: { broker },
          batch: { maxMessageBytes: MAX_MESSAGE_BYTES },
        });
      cloud = await startAzureCloud({
        pipelines: { orders: pipeline("orders"), again: pipeline("again") },
        destinations: { again: { broker, topic: "again", keep: ["partition"] } },
        partitions: PARTITIONS,
        environment: {
          ...QUICK,
          PERSISTOR_SERVICE_BUS: "",
          PERSISTOR_WORK_TOPIC: JSON.stringify({ broker, topic: "persistor-work" }),
          ...(kafka ? { PERSISTOR_EVENT_HUBS: "", PERSISTOR_KAFKA: JSON.stringify({ brokers: [kafka.host] }) } : {}),
        },
        host: { timers: false },
      });
    }, 180_000);
    afterAll(async () => {
      await cloud?.stop();
      await kafka?.stop();
    });

    /** The digests of each partition's messages, in their order. */
    const byPartition = async (name: string) => {
      const found = (await stored(cloud, `raw/${name}/`)).toSorted((a, b) =>
        Number((a.message.sequence ?? 0n) - (b.message.sequence ?? 0n)),
      );
      const groups = Map.groupBy(found, ({ message }) => message.partition);
      return Object.fromEntries([...groups].map(([partition, group]) => [partition, group.map(({ digest }) => digest)]));
    };

    test("indexes by a trigger there what a timer stores, and dead-letters there what is too large", async () => {
      const tooLarge = messageOf("x".repeat(2 * MAX_MESSAGE_BYTES));
      const slice = (from: number) => Array.from({ length: SLICE }, (_, i): MessageContent => flight(from + i));
      digests = [];
      // Without keys, what is published together goes to one partition.
      for (let from = 0; from < FLIGHTS; from += SLICE) digests.push(...(await publishTo(cloud, broker, "orders", slice(from))));
      const [large] = await publishTo(cloud, broker, "orders", [tooLarge]);
      await drain(cloud, "orders", "raw/orders/", FLIGHTS);
      await expectEachOnce(cloud, "orders", "raw/orders/", digests);
      await drain(cloud, "dead-letter", "raw/persistor-dead-letter/", 1);
      await indexed(cloud, "dead-letter", 1);
      const [dead] = await stored(cloud, "raw/persistor-dead-letter/");
      expect(dead?.message.payload.length).toBe(tooLarge.payload.length);
      expect(digests).not.toContain(large);
    }, 120_000);

    test("works a resubmission handed over there: in order, to the partitions of old, and verified", async () => {
      const headers = { prefer: "respond-async" };
      const path = "/api/resubmitter/range/orders?topic=again&ordered=true";
      const answer = await call(cloud, "POST", path, { broker_id: "orders" }, headers);
      expect(answer.status).toBe(202);
      const job = await ended(cloud, answer.headers.get("location") as string);
      expect(job).toMatchObject({ state: "succeeded", summary: { published_count: FLIGHTS, verified_count: FLIGHTS } });
      await drain(cloud, "again", "raw/again/", FLIGHTS);
      await expectEachOnce(cloud, "again", "raw/again/", digests);
      expect(await byPartition("again")).toEqual(await byPartition("orders"));
      expect(Object.keys(await byPartition("again")).length).toBeGreaterThan(1);
    }, 120_000);

    test("builds the index again from the stored objects alone", async () => {
      const client = await new MongoClient(cloud.mongo.uri).connect();
      const database = client.db(cloud.environment.PERSISTOR_MONGODB_DATABASE);
      const names = (await database.listCollections().toArray()).map(({ name }) => name).filter((name) => name.includes("orders"));
      for (const name of names) await database.dropCollection(name);
      await client.close();
      expect([names.length, await countOf(cloud, "orders")]).toEqual([1, 0]);
      const { headers } = await call(cloud, "POST", "/api/maintenance", { kind: "rebuild", pipeline: "orders" });
      expect((await ended(cloud, headers.get("location") as string)).state).toBe("succeeded");
      await indexed(cloud, "orders", FLIGHTS);
      expect(await audited(cloud, "orders")).toMatchObject({ records: FLIGHTS, index_records: FLIGHTS, missing_in_index: 0 });
    }, 120_000);
  });
});
