import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWhere } from "../contract/support-ports.ts";
import { AZURE_APP, type AzureCloud, azureCloudMissing } from "../services/azure-cloud.ts";
import { startAzureHostProcess } from "../services/azure-host/process.ts";
import { audited, call, resubmitted, stored, until } from "./support-azure.ts";
import { drained, ENTITY, expectWhole, indexerOf, publishFlights, queuePipelines, sleep, startFaultCloud } from "./support-azure-faults.ts";

const KILLS = 8;
const MESSAGES = 10_000;
/** Long enough for a worker that begins anew on a machine that has much to do: what it gets first is not to be lost before it renews locks. */
const LOCK_MS = 15_000;

describeWhere(azureCloudMissing(), "the function app on Service Bus that is ended in the middle", () => {
  let cloud: AzureCloud;

  beforeAll(async () => {
    cloud = await startFaultCloud({
      entity: { ...ENTITY, lockMs: LOCK_MS },
      pipelines: queuePipelines(["worker", "machine", "graceful"]),
      destinations: { replay: { broker: "service-bus", topic: "replay" } },
    });
  }, 180_000);
  afterAll(() => cloud?.stop());

  /** A worker that dies again before it has loaded the app would be given up by the host. */
  const workerLives = () => until("a worker", async () => (await call(cloud, "GET", "/api/healthz")).status === 200);
  const completedOf = async (entity: string) => (await cloud.serviceBus.counts(entity)).completed;

  test(`loses, doubles and alters nothing when its worker is killed ${KILLS} times at random moments`, async () => {
    const digests: string[] = [];
    for (let round = 0; round < KILLS; round++) {
      await workerLives();
      digests.push(...(await publishFlights(cloud, "worker", digests.length, MESSAGES / KILLS)));
      await sleep(1_000 * Math.random());
      await cloud.host.killWorker();
    }
    const { "persist-worker": persist, "index-service-bus-persistor-index": index } = cloud.host.invocations();
    expect((persist?.failed ?? 0) + (index?.failed ?? 0)).toBeGreaterThan(0);
    await expectWhole(cloud, "worker", digests);
    const { status, summary } = await resubmitted(cloud, "range/worker?topic=replay", { broker_id: "worker" });
    expect([status, summary]).toEqual([200, expect.objectContaining({ published_count: MESSAGES, verified_count: MESSAGES })]);
  }, 180_000);

  test("loses, doubles and alters nothing when the whole host is killed again and again, as a machine that goes down", async () => {
    await cloud.host.terminate();
    const digests: string[] = [];
    for (let round = 0; round < 3; round++) {
      const host = await startAzureHostProcess({ appDir: AZURE_APP, env: cloud.environment });
      const before = await completedOf("machine");
      digests.push(...(await publishFlights(cloud, "machine", digests.length, 2_500)));
      await until("a batch to be settled", async () => (await completedOf("machine")) > before);
      await sleep(500 * Math.random());
      await host.kill();
    }
    await cloud.startHost();
    await expectWhole(cloud, "machine", digests);
  }, 120_000);

  test("stores, settles and indexes what it holds when the platform ends it, and nothing of that comes again", async () => {
    const publishing = publishFlights(cloud, "graceful", 0, 10_000);
    await until("a batch to be settled", async () => (await completedOf("graceful")) > 0);
    await cloud.host.terminate();
    const digests = await publishing;
    const { completed, locked } = await cloud.serviceBus.counts("graceful");
    expect(locked).toBe(0);
    expect(completed).toBeLessThan(digests.length);
    expect(await stored(cloud, "raw/graceful/")).toHaveLength(completed);
    expect(await cloud.serviceBus.counts(indexerOf())).toMatchObject({ locked: 0 });
    await cloud.startHost();
    await expectWhole(cloud, "graceful", digests);
    expect(await audited(cloud, "graceful")).toMatchObject({ records: digests.length, duplicates: 0 });
    await drained(cloud, "graceful");
    expect(await completedOf("graceful")).toBe(digests.length);
  }, 120_000);
});
