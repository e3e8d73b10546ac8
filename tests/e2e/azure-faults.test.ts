import { BlobServiceClient } from "@azure/storage-blob";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { INDEXER_SUBSCRIPTION } from "../../shared/runtime/index-topics.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { AZURE_APP, type AzureCloud, azureCloudMissing } from "../services/azure-cloud.ts";
import { startAzureHost } from "../services/azure-host/host.ts";
import { connectionStringOf } from "../services/azurite.ts";
import { type FaultProxy, startFaultProxy } from "../services/fault-proxy.ts";
import { startTcpGate, type TcpGate } from "../services/tcp-gate.ts";
import { call, countOf, flight, indexed, publishToServiceBus, until } from "./support-azure.ts";
import {
  ENTITY,
  expectWhole,
  indexerOf,
  publishFlights,
  queuePipeline,
  queuePipelines,
  sleep,
  startFaultCloud,
} from "./support-azure-faults.ts";

const MESSAGES = 2_000;
const FOR_EVER = 1_000_000_000;
const NAMES = [
  "slow",
  "lost",
  "dropped",
  "busy",
  "refused",
  "cut-before",
  "cut-after",
  "mute",
  "mongoless",
  "keyless",
  "unsettled",
] as const;
const BUSY = { kind: "answer-sends", condition: "com.microsoft:server-busy", times: FOR_EVER } as const;

describeWhere(azureCloudMissing(), "the function app on Service Bus, whose parts fail,", () => {
  let cloud: AzureCloud;
  let storage: FaultProxy;
  let mongo: TcpGate;
  const lines: string[] = [];

  const inContainer = (container: string, queue: string) => ({
    ...queuePipeline(queue),
    store: { kind: "azure-blob", container, prefix: "raw", path: "{topic}" },
  });
  const late = (queue: string) => ({ ...queuePipeline(queue), index: { broker: "service-bus", topic: "late-index", collection: queue } });

  beforeAll(async () => {
    cloud = await startFaultCloud({
      pipelines: {
        ...queuePipelines(NAMES),
        sessions: queuePipeline("sessions", {}, { sessions: true }),
        other: inContainer("other", "other"),
        homeless: inContainer("late-container", "homeless"),
        unindexed: late("unindexed"),
      },
      storage: async ({ origin, ...account }) => {
        storage = await startFaultProxy(origin);
        return connectionStringOf({ ...account, url: `${storage.url}/${account.account}` });
      },
      mongoUri: async (uri) => {
        const { port, search } = new URL(uri);
        mongo = await startTcpGate(Number(port));
        return `mongodb://127.0.0.1:${mongo.port}/${search}`;
      },
      host: { onLine: (line) => lines.push(line) },
    });
    await containers().createContainer("other");
  }, 180_000);
  afterEach(async () => {
    storage.fail(null);
    await cloud.serviceBus.clearFaults();
  });
  afterAll(async () => {
    await cloud?.stop();
    await storage?.close();
    await mongo?.stop();
  });

  const containers = () => BlobServiceClient.fromConnectionString(cloud.azurite.connectionString);
  /** Lines of the log from now on. */
  const logFromNow = () => {
    const from = lines.length;
    return () => lines.slice(from);
  };
  const linesLike = (log: () => string[], text: RegExp) => log().filter((line) => text.test(line));
  const says = (log: () => string[], text: RegExp) => until(`a line of the log like ${text}`, () => linesLike(log, text).length > 0);
  const ofContainer = (container: string) => (request: { url: string }) => request.url.split("?")[0]?.split("/")[2] === container;
  /** A worker that still loads its modules renews no locks. */
  const settledOne = (queue: string) => until("a first message to be settled", async () => (await deliveriesOf(queue)).completed === 1);
  const deliveriesOf = async (entity: string) => {
    const { enqueued, completed } = await cloud.serviceBus.counts(entity);
    return { enqueued, completed };
  };

  test("holds the locks of messages that it handles for longer than a lock lasts", async () => {
    const digests = await publishFlights(cloud, "slow", 0, 1);
    await settledOne("slow");
    storage.fail({ kind: "delay", delayMs: 2 * (ENTITY.lockMs as number) });
    const log = logFromNow();
    digests.push(...(await publishFlights(cloud, "slow", 1, 149)));
    const counts: number[] = [];
    await until("the next message to be settled", async () => {
      counts.push(...(await cloud.serviceBus.messages("slow")).map(({ deliveryCount }) => deliveryCount));
      return (await deliveriesOf("slow")).completed > 1;
    });
    storage.fail(null);
    await expectWhole(cloud, "slow", digests);
    expect(Math.max(...counts)).toBeLessThanOrEqual(1);
    expect(linesLike(log, /come again/)).toEqual([]);
  }, 90_000);

  test("holds the lock of a session whose messages it handles for longer than that lasts", async () => {
    const ids = ["é".repeat(100), "b"];
    const contents = Array.from({ length: 60 }, (_, i) => ({ ...flight(i), orderingKey: ids[i % 2] as string }));
    const digests = await publishToServiceBus(cloud, "sessions", contents.slice(0, 1));
    await settledOne("sessions");
    storage.fail({ kind: "delay", delayMs: 2 * (ENTITY.lockMs as number) });
    const log = logFromNow();
    digests.push(...(await publishToServiceBus(cloud, "sessions", contents.slice(1))));
    const counts: number[] = [];
    await until("messages of both sessions to be settled", async () => {
      counts.push(...(await cloud.serviceBus.messages("sessions")).map(({ deliveryCount }) => deliveryCount));
      return (await deliveriesOf("sessions")).completed === contents.length;
    });
    storage.fail(null);
    await expectWhole(cloud, "sessions", digests);
    expect(Math.max(...counts)).toBeLessThanOrEqual(1);
    expect(linesLike(log, /come again/)).toEqual([]);
  }, 120_000);

  test("indexes once what is delivered again because its locks were lost while it was handled", async () => {
    storage.fail({ kind: "delay", delayMs: 4_000 });
    const log = logFromNow();
    const digests = await publishFlights(cloud, "lost", 0, MESSAGES);
    for (let round = 0; round < 3; round++) {
      await until("locked messages", async () => (await cloud.serviceBus.counts("lost")).locked > 0);
      await sleep(700);
      await cloud.serviceBus.expireLocks("lost");
      await cloud.serviceBus.expireLocks(indexerOf());
    }
    storage.fail(null);
    await expectWhole(cloud, "lost", digests);
    expect(linesLike(log, /renewing locks failed/)).not.toEqual([]);
    expect(linesLike(log, /settling messages failed/)).not.toEqual([]);
  }, 90_000);

  test("loses and doubles nothing when all connections to the broker drop every 200 ms", async () => {
    const log = logFromNow();
    const digests = await publishFlights(cloud, "dropped", 0, 3 * MESSAGES);
    await cloud.serviceBus.beginOutage({ kind: "drop-connections", everyMs: 200, forMs: 4_000 });
    await sleep(4_000);
    await cloud.serviceBus.clearFaults();
    await expectWhole(cloud, "dropped", digests);
    expect(linesLike(log, /come again|Message processing error|releasing a batch/)).not.toEqual([]);
  }, 90_000);

  test("gives messages back whose index records the broker is too busy to take, and stores them once it takes them", async () => {
    await cloud.serviceBus.injectFault({ ...BUSY, entity: "persistor-index" });
    const log = logFromNow();
    const digests = await publishFlights(cloud, "busy", 0, MESSAGES);
    await says(log, /throttled.*releasing a batch/);
    expect((await deliveriesOf("busy")).completed).toBe(0);
    await cloud.serviceBus.clearFaults();
    await expectWhole(cloud, "busy", digests);
  }, 90_000);

  test.each([
    ["refused", { kind: "answer", status: 503 }],
    ["cut-before", { kind: "cut before" }],
    ["cut-after", { kind: "cut after" }],
  ] as const)(
    "waits for Blob Storage that fails for some seconds: %s %j",
    async (name, fault) => {
      storage.fail({ ...fault, matches: ofContainer("lake") });
      const log = logFromNow();
      const digests = await publishFlights(cloud, name, 0, MESSAGES);
      await says(log, /releasing a batch/);
      expect((await deliveriesOf(name)).completed).toBe(0);
      const [first] = await cloud.serviceBus.messages(name, 1);
      expect(first?.deliveryCount).toBeLessThan(10);
      storage.fail(null);
      await expectWhole(cloud, name, digests);
    },
    90_000,
  );

  test("goes on with every other store while one container is silent, and with that one afterwards", async () => {
    storage.fail({ kind: "delay", delayMs: 25_000, matches: ofContainer("lake") });
    const log = logFromNow();
    const digests = await publishFlights(cloud, "mute", 0, MESSAGES);
    const others = await publishFlights(cloud, "other", 0, MESSAGES);
    await indexed(cloud, "other", MESSAGES);
    expect((await deliveriesOf("mute")).completed).toBe(0);
    await expectWhole({ ...cloud, container: "other" }, "other", others);
    expect(await countOf(cloud, "mute")).toBe(0);
    storage.fail(null);
    await expectWhole(cloud, "mute", digests);
    expect(linesLike(log, /giving up/)).toEqual([]);
  }, 120_000);

  test("keeps index messages while MongoDB is away, and says so to callers", async () => {
    await mongo.shut();
    const digests = await publishFlights(cloud, "mongoless", 0, MESSAGES);
    await until("index messages", async () => (await deliveriesOf("mongoless")).completed === MESSAGES);
    const answer = await call(cloud, "POST", "/api/indexer/query/mongoless", { filters: [{}] });
    expect(answer).toMatchObject({ status: 503, body: { status: 503 } });
    const { active, locked } = await cloud.serviceBus.counts(indexerOf());
    expect(active + locked).toBeGreaterThan(0);
    await mongo.open();
    await expectWhole(cloud, "mongoless", digests);
  }, 90_000);

  test("waits for an index topic that is missing, naming it, and goes on once it is there", async () => {
    await cloud.serviceBus.deleteEntity("late-index");
    const log = logFromNow();
    const digests = await publishFlights(cloud, "unindexed", 0, MESSAGES);
    await says(log, /late-index.*create the topic.*releasing a batch/);
    expect((await deliveriesOf("unindexed")).completed).toBe(0);
    await cloud.serviceBus.createTopic("late-index", { [INDEXER_SUBSCRIPTION]: ENTITY });
    await expectWhole(cloud, "unindexed", digests, "late-index");
  }, 90_000);

  test("waits for a container that is missing, naming it, and goes on once it is there", async () => {
    const log = logFromNow();
    const digests = await publishFlights(cloud, "homeless", 0, MESSAGES);
    await says(log, /the container is missing; create it.*releasing a batch/);
    expect((await deliveriesOf("homeless")).completed).toBe(0);
    await containers().createContainer("late-container");
    await expectWhole({ ...cloud, container: "late-container" }, "homeless", digests);
  }, 90_000);

  test("uses up no deliveries where the host does not tell how messages are settled", async () => {
    await cloud.host.terminate();
    // A worker that knows nothing of its command line.
    const NODE_OPTIONS = "--import=data:text/javascript,process.argv.splice(2)";
    const host = await startAzureHost({ appDir: AZURE_APP, env: { ...cloud.environment, NODE_OPTIONS } });
    const startMs = Date.now();
    const digests = await publishFlights(cloud, "unsettled", 0, MESSAGES);
    await says(() => host.output().split("\n"), /has not told this worker its address.*cannot be handled/);
    await sleep(3_000);
    const counts = (await cloud.serviceBus.messages("unsettled")).map(({ deliveryCount }) => deliveryCount);
    // A delivery is used up where a lock ends, and no sooner.
    expect(Math.max(...counts)).toBeLessThanOrEqual((Date.now() - startMs) / (ENTITY.lockMs as number) + 2);
    await host.terminate();
    await cloud.startHost();
    await expectWhole(cloud, "unsettled", digests);
  }, 90_000);

  test("says which setting holds a wrong storage key, and goes on where it was once that is mended", async () => {
    await cloud.host.terminate();
    const key = Buffer.alloc(64, "wrong").toString("base64");
    const wrong = connectionStringOf({ ...cloud.azurite, key });
    const host = await startAzureHost({ appDir: AZURE_APP, env: { ...cloud.environment, PERSISTOR_AZURE_STORAGE: wrong } });
    const digests = await publishFlights(cloud, "keyless", 0, MESSAGES);
    await says(() => host.output().split("\n"), /access denied.*failed to authenticate.*releasing a batch/);
    expect((await deliveriesOf("keyless")).completed).toBe(0);
    expect(host.output()).not.toContain(key);
    await host.terminate();
    await cloud.startHost();
    await expectWhole(cloud, "keyless", digests);
  }, 90_000);
});
