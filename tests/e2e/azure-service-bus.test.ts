import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWhere } from "../contract/support-ports.ts";
import { type AzureCloud, azureCloudMissing, startAzureCloud } from "../services/azure-cloud.ts";
import { ensureBundles } from "../services/bundles.ts";
import {
  audited,
  countOf,
  flight,
  indexed,
  pipelineOf,
  publishToServiceBus,
  receivedFromServiceBus,
  resubmitted,
  stored,
} from "./support-azure.ts";

const FLIGHTS = Number(process.env.FLIGHTS ?? 100_000);

describeWhere(azureCloudMissing(), "the function app on Service Bus", () => {
  let cloud: AzureCloud;
  let digests: string[];

  beforeAll(async () => {
    await ensureBundles();
    cloud = await startAzureCloud({
      pipelines: { flights: pipelineOf({ broker: "service-bus", topic: "flights", subscription: "archive" }, "flights") },
      destinations: { replay: { broker: "service-bus", topic: "replay" } },
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
});
