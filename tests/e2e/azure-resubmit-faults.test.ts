import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { describeWhere } from "../contract/support-ports.ts";
import { type AzureCloud, azureCloudMissing } from "../services/azure-cloud.ts";
import { call, ended, flight, indexed, publishToServiceBus, receivedFromServiceBus, until } from "./support-azure.ts";
import { queuePipeline, startFaultCloud } from "./support-azure-faults.ts";

const MESSAGES = 3_000;
/** More than a destination carries, and less than Service Bus does. */
const LARGE_BYTES = 252_000;
const CROWD = [100, 250, 400, 550] as const;
const OPEN_STATES = ["planning", "running"];

describeWhere(azureCloudMissing(), "resubmission by the function app on Service Bus", () => {
  let cloud: AzureCloud;
  let digests: string[];

  beforeAll(async () => {
    const destination = (topic: string) => [topic, { broker: "service-bus", topic }] as const;
    const topics = ["killed", "gone", "busy", "sized", "paced", ...CROWD.map((count) => `crowd-${count}`)];
    cloud = await startFaultCloud({
      pipelines: { flights: queuePipeline("flights"), large: queuePipeline("large") },
      destinations: Object.fromEntries(topics.map(destination)),
    });
    digests = await publishToServiceBus(
      cloud,
      "flights",
      Array.from({ length: MESSAGES }, (_, i) => flight(i)),
    );
    await indexed(cloud, "flights", MESSAGES);
  }, 180_000);
  afterEach(() => cloud.serviceBus.clearFaults());
  afterAll(() => cloud?.stop());

  /** Hands a job over to the worker; returns its path. */
  const started = async (path: string, body: unknown): Promise<string> => {
    const { status, headers } = await call(cloud, "POST", `/api/resubmitter/${path}`, body, { prefer: "respond-async" });
    expect(status).toBe(202);
    return headers.get("location") as string;
  };
  const all = { broker_id: "flights" };
  const whole = (count: number) => ({
    state: "succeeded",
    summary: { indexed_count: count, fetched_count: count, published_count: count, verified_count: count },
  });
  const arrivedAt = async (topic: string) => (await cloud.serviceBus.counts(`${topic}/Subscriptions/check`)).enqueued;

  test("goes on where it was when its worker is killed twice, publishes each message at least once, and counts each once", async () => {
    const job = await started("range/flights?topic=killed&rate=600", all);
    for (const share of [0.2, 0.5]) {
      await until("messages to arrive", async () => (await arrivedAt("killed")) > share * MESSAGES);
      await cloud.host.killWorker();
    }
    expect(await ended(cloud, job)).toMatchObject(whole(MESSAGES));
    const sent = await receivedFromServiceBus(cloud, "killed", await arrivedAt("killed"));
    expect(sent.length).toBeGreaterThanOrEqual(MESSAGES);
    expect([...new Set(sent.map(({ digest }) => digest))].sort()).toEqual(digests.toSorted());
  }, 120_000);

  test("fails, naming the reason, where its destination is missing", async () => {
    await cloud.serviceBus.deleteEntity("gone");
    const job = await started("range/flights?topic=gone&limit=20", all);
    expect(await ended(cloud, job)).toMatchObject({ state: "failed", summary: { indexed_count: 20, published_count: 0 } });
    const { body } = await call(cloud, "GET", `${job}/failures`);
    expect(body.failures).toHaveLength(20);
    for (const failure of body.failures)
      expect(failure).toMatchObject({ reason: "publish_error", detail: expect.stringMatching(/create the topic/) });
    const answer = await call(cloud, "POST", "/api/resubmitter/range/flights?topic=gone&limit=20", all);
    expect(answer).toMatchObject({ status: 400, body: { summary: { published_count: 0 } } });
  }, 60_000);

  test("waits for a destination that is too busy, and publishes all once it takes them", async () => {
    await cloud.serviceBus.injectFault({
      kind: "answer-sends",
      condition: "com.microsoft:server-busy",
      times: 1_000_000_000,
      entity: "busy",
    });
    const job = await started("range/flights?topic=busy", all);
    await until("the job to be running", async () => (await call(cloud, "GET", job)).body.state === "running");
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    expect((await call(cloud, "GET", job)).body).toMatchObject({ state: "running", summary: { published_count: 0 } });
    await cloud.serviceBus.clearFaults();
    expect(await ended(cloud, job)).toMatchObject(whole(MESSAGES));
    const sent = await receivedFromServiceBus(cloud, "busy", MESSAGES);
    expect(sent.map(({ digest }) => digest).sort()).toEqual(digests.toSorted());
  }, 90_000);

  test("names messages that are larger than the destination takes, and sends the others", async () => {
    const contents = [0, 1, 2, 3, 4].map((i) => (i === 2 ? { ...flight(i), payload: Buffer.alloc(LARGE_BYTES, "large") } : flight(i)));
    const sizes = await publishToServiceBus(cloud, "large", contents, { maxMessageBytes: LARGE_BYTES + 5_000 });
    await indexed(cloud, "large", contents.length);
    const { status, body } = await call(cloud, "POST", "/api/resubmitter/range/large?topic=sized", { broker_id: "large" });
    expect([status, body.summary]).toMatchObject([206, { indexed_count: 5, fetched_count: 5, published_count: 4, verified_count: 4 }]);
    expect(body.errors.pipeline_errors).toEqual([{ id: "large_3", reason: "unsupported_by_destination" }]);
    const sent = await receivedFromServiceBus(cloud, "sized", 4);
    expect(sent.map(({ digest }) => digest).sort()).toEqual(sizes.filter((_, i) => i !== 2).sort());
  }, 60_000);

  test("keeps jobs apart that run at the same time, each with its own messages and counts", async () => {
    const idsOf = (count: number) => Array.from({ length: count }, (_, i) => `flights_${i * 5 + 1}`);
    const jobs = await Promise.all(CROWD.map((count) => started(`resubmit/flights?topic=crowd-${count}`, { ids: idsOf(count) })));
    for (const [i, count] of CROWD.entries()) {
      expect(await ended(cloud, jobs[i] as string)).toMatchObject(whole(count));
      const sent = await receivedFromServiceBus(cloud, `crowd-${count}`, count);
      expect(sent.map(({ digest }) => digest).sort()).toEqual(Array.from({ length: count }, (_, k) => digests[k * 5]).sort());
    }
  }, 90_000);

  test("lets no job wait behind one that takes long", async () => {
    const long = await started("range/flights?topic=paced&rate=20", all);
    await until("the long job to be under way", async () => (await arrivedAt("paced")) > 0);
    const short = await started("range/flights?topic=paced&limit=10", all);
    expect(await ended(cloud, short)).toMatchObject({ state: "succeeded", summary: { published_count: 10 } });
    expect(OPEN_STATES).toContain((await call(cloud, "GET", long)).body.state);
    await call(cloud, "POST", `${long}/cancel`);
    expect((await ended(cloud, long)).state).toBe("cancelled");
  }, 90_000);
});
