import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWhere } from "../contract/support-ports.ts";
import { ensureBundles } from "../services/bundles.ts";
import { type GcpCloud, gcpCloudMissing, startGcpCloud } from "../services/gcp-cloud.ts";
import {
  audited,
  call,
  countOf,
  drainsUntilStored,
  indexed,
  pipelineOf,
  publishFlights,
  received,
  resubmitted,
  stored,
  storedBy,
} from "./support-gcp.ts";

const FLIGHTS = 100_000;
const PULLED = 20_000;
const pipeline = (topic: string) => pipelineOf(topic, "{topic}/{year}/{month}/{day}");

describeWhere(gcpCloudMissing()[0], "the bundled functions on Google Cloud's parts", () => {
  let cloud: GcpCloud;
  let digests: string[];

  beforeAll(async () => {
    await ensureBundles();
    cloud = await startGcpCloud({
      pipelines: { flights: pipeline("flights"), pulled: pipeline("pulled"), ordered: pipeline("ordered") },
      destinations: { replay: { broker: "pubsub", topic: "replay" }, other: { broker: "pubsub", topic: "other" } },
      pushed: ["flights", "ordered", "dead-letter"],
      ordered: ["ordered", "other"],
      pushConcurrency: 500,
      emulatorHeapMb: 3_072,
    });
  }, 180_000);
  afterAll(() => cloud?.stop());

  test("store and index each of 100,000 pushed flights once, unaltered", async () => {
    digests = await publishFlights(cloud, "flights", 0, FLIGHTS);
    await indexed(cloud, "flights", FLIGHTS);
    const found = await stored(cloud, "raw/flights/");
    expect(found).toHaveLength(FLIGHTS);
    expect(new Set(found.map(({ id }) => id)).size).toBe(FLIGHTS);
    expect(found.map(({ digest }) => digest).sort()).toEqual(digests.toSorted());
    expect(await countOf(cloud, "flights")).toBe(FLIGHTS);
    expect(await audited(cloud, "flights")).toMatchObject({
      records: FLIGHTS,
      indexed: FLIGHTS,
      duplicates: 0,
      missing_in_index: 0,
      missing_in_store: 0,
      index_records: FLIGHTS,
    });
  }, 300_000);

  test("resubmit a range of all of them to another topic, each verified identical", async () => {
    const { status, summary } = await resubmitted(cloud, "range/flights?topic=replay", { broker_id: "flights" });
    expect(status).toBe(200);
    expect(summary).toMatchObject({ indexed_count: FLIGHTS, published_count: FLIGHTS, verified_count: FLIGHTS });
    const sent = await received(cloud, "replay", FLIGHTS);
    expect(sent.map(({ digest }) => digest).sort()).toEqual(digests.toSorted());
  }, 300_000);

  test("resubmit by ids and by a query exactly what is asked for", async () => {
    const filter = { filters: [{ "additional_metadata.origin": "LAX", "additional_metadata.delay": { $gt: 120 } }] };
    const { body } = await call(cloud, "query", "POST", "/indexer/query/flights?limit=1000", filter);
    expect(body.messages.length).toBeGreaterThan(10);
    const wanted = body.messages.map((message: { digest: string }) => message.digest).sort();
    const ids = body.messages.map((message: { unique_id: string }) => message.unique_id);
    const byIds = await resubmitted(cloud, "resubmit/flights?topic=other", { ids });
    expect(byIds).toMatchObject({ status: 200, summary: { verified_count: ids.length } });
    expect((await received(cloud, "other", ids.length)).map(({ digest }) => digest).sort()).toEqual(wanted);
    const byQuery = await resubmitted(cloud, "query/flights?topic=other", filter);
    expect(byQuery).toMatchObject({ status: 200, summary: { verified_count: ids.length } });
    expect((await received(cloud, "other", ids.length)).map(({ digest }) => digest).sort()).toEqual(wanted);
  }, 120_000);

  test("hand a job over to the worker where the answer is not waited for", async () => {
    const answer = await call(
      cloud,
      "resubmit",
      "POST",
      "/resubmitter/range/flights?topic=other&limit=2000",
      { broker_id: "flights" },
      {
        prefer: "respond-async",
      },
    );
    expect(answer.status).toBe(202);
    expect((await received(cloud, "other", 2_000)).length).toBe(2_000);
  }, 120_000);

  test("drain a subscription when the scheduler calls, and leave it empty", async () => {
    const expected = await publishFlights(cloud, "pulled", 0, PULLED);
    const headers = { authorization: `Bearer ${await cloud.triggerToken()}` };
    const drain = async () => {
      const response = await fetch(`${cloud.functions["persist-pull"].url}/persist-pull/pulled`, { method: "POST", headers });
      return response.json() as Promise<Record<string, unknown>>;
    };
    const answers = await drainsUntilStored(PULLED, drain);
    for (const answer of answers) expect(answer).toMatchObject({ released: 0, dead_lettered: 0, is_drained: true });
    expect(storedBy(answers)).toBe(PULLED);
    expect(await drain()).toMatchObject({ stored: 0, batches: 0 });
    const found = await stored(cloud, "raw/pulled/");
    expect(found.map(({ digest }) => digest).sort()).toEqual(expected.toSorted());
    expect(new Set(found.map(({ key }) => key)).size).toBeLessThan(20 * answers.length);
    await indexed(cloud, "pulled", PULLED);
  }, 240_000);

  test("keep the order of each ordering key from topic to topic", async () => {
    const keyOf = (i: number) => `key-${i % 7}`;
    const sent = await publishFlights(cloud, "ordered", 0, 3_000, keyOf);
    await indexed(cloud, "ordered", 3_000);
    const { summary } = await resubmitted(cloud, "range/ordered?topic=other&ordered=true", { broker_id: "ordered" });
    expect(summary).toMatchObject({ verified_count: 3_000 });
    const arrived = await received(cloud, "other", 3_000);
    for (let key = 0; key < 7; key++) {
      const inOrder = sent.filter((_, i) => i % 7 === key);
      expect(arrived.filter(({ orderingKey }) => orderingKey === `key-${key}`).map(({ digest }) => digest)).toEqual(inOrder);
    }
  }, 120_000);

  test("rebuild an index from the stored objects alone", async () => {
    const { MongoClient } = await import("mongodb");
    const client = await new MongoClient(cloud.mongo.uri).connect();
    const database = client.db(cloud.environment.PERSISTOR_MONGODB_DATABASE);
    const names = (await database.listCollections().toArray()).map(({ name }) => name).filter((name) => name.includes("pulled"));
    expect(names).toHaveLength(1);
    await database.dropCollection(names[0] as string);
    await client.close();
    expect(await countOf(cloud, "pulled")).toBe(0);
    const { headers } = await call(cloud, "resubmit", "POST", "/admin/maintenance", { kind: "rebuild", pipeline: "pulled" });
    expect(headers.get("location")).toMatch(/^\/admin\/maintenance\//);
    await indexed(cloud, "pulled", PULLED);
    expect(await audited(cloud, "pulled")).toMatchObject({ records: PULLED, indexed: PULLED, missing_in_index: 0 });
  }, 120_000);
});
