import { ServiceBusClient } from "@azure/service-bus";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWhere } from "../contract/support-ports.ts";
import { type AzureCloud, azureCloudMissing, startAzureCloud } from "../services/azure-cloud.ts";
import { ensureBundles } from "../services/bundles.ts";
import {
  audited,
  call,
  countOf,
  flight,
  indexed,
  pipelineOf,
  publishToServiceBus,
  receivedFromServiceBus,
  resubmitted,
  stored,
} from "./support-azure.ts";

const FLIGHTS = 100_000;
/** As frameworks of .NET name their topics. */
const IN_FOLDER = "Shop.Contracts/Fault--Shop.Contracts/Placed--";

describeWhere(azureCloudMissing(), "the function app on Service Bus", () => {
  let cloud: AzureCloud;
  let digests: string[];

  beforeAll(async () => {
    await ensureBundles();
    cloud = await startAzureCloud({
      pipelines: {
        flights: pipelineOf({ broker: "service-bus", topic: "flights", subscription: "archive" }, "flights"),
        placed: pipelineOf({ broker: "service-bus", topic: IN_FOLDER, subscription: "archive" }, "placed"),
      },
      destinations: { replay: { broker: "service-bus", topic: "replay" }, deep: { broker: "service-bus", topic: "deep/replay" } },
    });
  }, 180_000);
  afterAll(() => cloud?.stop());

  test("stores and indexes each of 100,000 flights once, unaltered", async () => {
    const contents = Array.from({ length: FLIGHTS }, (_, i) => flight(i));
    digests = await publishToServiceBus(cloud, "flights", contents);
    await indexed(cloud, "flights", FLIGHTS);
    const found = await stored(cloud, "raw/flights/");
    expect(found.map(({ digest }) => digest).sort()).toEqual(digests.toSorted());
    expect(new Set(found.map(({ id }) => id)).size).toBe(FLIGHTS);
    expect(await countOf(cloud, "flights")).toBe(FLIGHTS);
    expect(await audited(cloud, "flights")).toMatchObject({ records: FLIGHTS, duplicates: 0, missing_in_index: 0, missing_in_store: 0 });
  }, 300_000);

  test("resubmits a range of all of them to another topic, each verified identical", async () => {
    const { status, summary } = await resubmitted(cloud, "range/flights?topic=replay", { broker_id: "flights" });
    expect(status).toBe(200);
    expect(summary).toMatchObject({ indexed_count: FLIGHTS, published_count: FLIGHTS, verified_count: FLIGHTS });
    const sent = await receivedFromServiceBus(cloud, "replay", FLIGHTS);
    expect(sent.map(({ digest }) => digest).sort()).toEqual(digests.toSorted());
  }, 300_000);

  test("finds messages by the numbers, texts and truths that a producer gave them as such", async () => {
    const client = new ServiceBusClient(cloud.serviceBus.connectionString);
    const orders = [12.5, 99, 70_000_000_000, -3].map((amount) => ({
      body: { amount },
      applicationProperties: { order: true, amount, unit: "EUR" },
    }));
    await client.createSender("flights").sendMessages(orders);
    await client.close();
    await indexed(cloud, "flights", FLIGHTS + orders.length);
    const amounts = async (filter: unknown) => {
      const { body } = await call(cloud, "POST", "/api/indexer/query/flights", {
        filters: [{ "additional_metadata.order": true, ...(filter as object) }],
      });
      return body.messages.map(({ additional_metadata }: { additional_metadata: { amount: number } }) => additional_metadata.amount).sort();
    };
    expect(await amounts({ "additional_metadata.amount": { $gt: 50 } })).toEqual([70_000_000_000, 99]);
    expect(await amounts({ "additional_metadata.amount": { $lt: 20 } })).toEqual([-3, 12.5]);
    expect(await amounts({ "additional_metadata.amount": 99, "additional_metadata.unit": "EUR" })).toEqual([99]);
  }, 120_000);

  test("stores, finds and sends again what lies in folders", async () => {
    const sent = await publishToServiceBus(
      cloud,
      IN_FOLDER,
      Array.from({ length: 20 }, (_, i) => flight(i)),
    );
    await indexed(cloud, "placed", sent.length);
    const brokerId = IN_FOLDER.replaceAll("/", "-");
    const found = await stored(cloud, `raw/${encodeURIComponent(IN_FOLDER)}/`);
    expect(found.map(({ digest }) => digest).sort()).toEqual(sent.toSorted());
    const { status, body } = await call(cloud, "GET", `/api/indexer/range/placed/${brokerId}?limit=5`);
    expect([status, body.messages.length]).toEqual([200, 5]);
    const { summary } = await resubmitted(cloud, "range/placed?topic=deep", { broker_id: brokerId });
    expect(summary).toMatchObject({ published_count: sent.length, verified_count: sent.length });
    expect((await receivedFromServiceBus(cloud, "deep/replay", sent.length)).map(({ digest }) => digest).sort()).toEqual(sent.toSorted());
  }, 120_000);
});
