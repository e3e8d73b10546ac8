import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { describeWhere } from "../contract/support-ports.ts";
import { ensureBundles } from "../services/bundles.ts";
import { type FaultProxy, startFaultProxy } from "../services/fault-proxy.ts";
import { type GcpCloud, gcpCloudMissing, startGcpCloud } from "../services/gcp-cloud.ts";
import { startTcpGate, type TcpGate } from "../services/tcp-gate.ts";
import { audited, call, countOf, ended, indexed, pipelineOf, publishFlights, resubmitted, stored, until } from "./support-gcp.ts";

const TOPICS = ["killed", "refused", "cut", "unindexed", "mongoless", "doubled", "plain", "small", "terminated"] as const;
const pipeline = (topic: string, change: Record<string, unknown> = {}) => ({ ...pipelineOf(topic, "{topic}"), ...change });
/** Pushes of a subscription in flight at once. */
const PUSHES = 200;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describeWhere(gcpCloudMissing()[0], "the functions on Google Cloud's parts that fail", () => {
  let cloud: GcpCloud;
  let storage: FaultProxy;
  let mongo: TcpGate;

  beforeAll(async () => {
    await ensureBundles();
    cloud = await startGcpCloud({
      pipelines: {
        ...Object.fromEntries(TOPICS.map((topic) => [topic, pipeline(topic)])),
        unindexed: pipeline("unindexed", { index: { topic: "late-index", collection: "unindexed" } }),
        small: pipeline("small", { batch: { maxMessageBytes: 1_000_000 } }),
        bucketless: pipeline("bucketless", { store: { kind: "gcs", bucket: "no-such-bucket", path: "{topic}" } }),
      },
      destinations: { replay: { broker: "pubsub", topic: "replay" }, gone: { broker: "pubsub", topic: "gone" } },
      pushConcurrency: PUSHES,
      storageUrl: async (url) => {
        storage = await startFaultProxy(url);
        return storage.url;
      },
      mongoUri: async (uri) => {
        const { port, search } = new URL(uri);
        mongo = await startTcpGate(Number(port));
        return `mongodb://127.0.0.1:${mongo.port}/${search}`;
      },
    });
  }, 180_000);
  afterEach(() => storage.fail(null));
  afterAll(async () => {
    await cloud?.stop();
    await storage?.close();
    await mongo?.stop();
  });

  /** Nothing lost, nothing twice in the index, nothing altered. */
  const expectWhole = async (topic: string, digests: readonly string[]) => {
    await indexed(cloud, topic, digests.length);
    await cloud.pumps[topic]?.idle();
    expect(await countOf(cloud, topic)).toBe(digests.length);
    const found = await stored(cloud, `raw/${topic}/`);
    const byId = new Map(found.map(({ id, digest }) => [id, digest]));
    expect([...byId.values()].sort()).toEqual(digests.toSorted());
    expect(await audited(cloud, topic)).toMatchObject({ missing_in_index: 0, missing_in_store: 0, index_records: digests.length });
  };

  test("lose and double nothing when persist and index are killed again and again while messages are pushed", async () => {
    let isPublishing = true;
    const killing = (async () => {
      for (let i = 0; isPublishing; i++) {
        await sleep(700);
        await cloud.functions[i % 2 ? "index" : "persist"].restart();
      }
    })();
    const digests: string[] = [];
    for (let part = 0; part < 10; part++) {
      digests.push(...(await publishFlights(cloud, "killed", part * 2_000, 2_000)));
      await sleep(500);
    }
    isPublishing = false;
    await killing;
    await expectWhole("killed", digests);
  }, 300_000);

  test("settle everything that is held when the platform ends an instance", async () => {
    const publishing = publishFlights(cloud, "terminated", 0, 5_000);
    await until("pushes under way", () => (cloud.pumps.terminated?.stats().pushed ?? 0) > 300);
    const before = cloud.pumps.terminated?.stats().statuses ?? {};
    expect(await cloud.functions.persist.service.terminate()).toBe(0);
    expect(Object.keys(before)).toEqual(["204"]);
    await cloud.functions.persist.start();
    await expectWhole("terminated", await publishing);
  }, 120_000);

  test.each([
    ["refused", { kind: "answer", status: 503 }],
    ["refused", { kind: "answer", status: 429 }],
    ["cut", { kind: "cut before" }],
    ["cut", { kind: "cut after" }],
  ] as const)(
    "lose and double nothing when Cloud Storage answers %s %j",
    async (topic, fault) => {
      const known = await countOf(cloud, topic);
      storage.fail({ ...fault, times: 40 });
      const digests = await publishFlights(cloud, topic, known, 3_000);
      await sleep(1_000);
      storage.fail({ ...fault });
      await sleep(3_000);
      storage.fail(null);
      await indexed(cloud, topic, known + digests.length);
      await cloud.pumps[topic]?.idle();
      expect(await countOf(cloud, topic)).toBe(known + digests.length);
      expect(await audited(cloud, topic)).toMatchObject({
        missing_in_index: 0,
        missing_in_store: 0,
        index_records: known + digests.length,
      });
      const found = await stored(cloud, `raw/${topic}/`);
      const kept = new Set(found.map(({ digest }) => digest));
      expect(digests.filter((digest) => !kept.has(digest))).toEqual([]);
    },
    240_000,
  );

  test("hold everything while the index topic is missing, and hand it over once it is there", async () => {
    await cloud.pubsub.topic("late-index").delete();
    const digests = await publishFlights(cloud, "unindexed", 0, 2_000);
    await sleep(4_000);
    expect(cloud.pumps.unindexed?.stats().acknowledged).toBe(0);
    await cloud.pubsub.subscription("late-index-indexer").delete();
    // A topic takes, and drops, what is published before it has its subscription: nothing comes so far until both are there.
    storage.fail({ kind: "answer", status: 503 });
    const answered = () => cloud.pumps.unindexed?.stats().pushed ?? 0;
    const before = answered();
    await sleep(4_000);
    await until("pushes under way to be answered", () => answered() >= before + 2 * PUSHES);
    await cloud.pubsub.createTopic("late-index");
    await cloud.pubsub.topic("late-index").createSubscription("late-index-indexer", { ackDeadlineSeconds: 60 });
    storage.fail(null);
    await expectWhole("unindexed", digests);
  }, 240_000);

  test("index everything once MongoDB is back after ten seconds", async () => {
    const publishing = publishFlights(cloud, "mongoless", 0, 3_000);
    await mongo.shut();
    await sleep(10_000);
    const answer = await call(cloud, "query", "POST", "/indexer/query/mongoless", { filters: [{}] });
    expect(answer).toMatchObject({ status: 503, body: { status: 503 } });
    await mongo.open();
    await expectWhole("mongoless", await publishing);
  }, 240_000);

  test("store a message once in the index that is pushed several times, in other batches too", async () => {
    const token = await cloud.triggerToken();
    const push = (i: number) =>
      postPush(cloud, "doubled", token, { messageId: String(i), data: Buffer.from(`double ${i}`).toString("base64") });
    for (let round = 0; round < 3; round++) {
      const statuses = await Promise.all(Array.from({ length: 300 }, (_, i) => push((i * 7 + round * 131) % 300)));
      expect(new Set(statuses)).toEqual(new Set([204]));
    }
    await indexed(cloud, "doubled", 300);
    await cloud.pumps["persistor-index"]?.idle();
    expect(await countOf(cloud, "doubled")).toBe(300);
    expect(await audited(cloud, "doubled")).toMatchObject({ missing_in_index: 0, index_records: 300 });
  }, 120_000);

  test("say what is wrong where a bucket is missing, and keep the message", async () => {
    const token = await cloud.triggerToken();
    const status = await postPush(cloud, "bucketless", token, { messageId: "1", data: "eA==" });
    expect(status).toBe(503);
    const output = cloud.functions.persist.service.output();
    expect(output).toMatch(/no-such-bucket[^\n]*create the bucket/);
  }, 60_000);

  test("end a resubmission to a missing topic with a clear error", async () => {
    await publishFlights(cloud, "plain", 0, 10);
    await indexed(cloud, "plain", 10);
    await cloud.pubsub.topic("gone").delete();
    const { status, body } = await call(cloud, "resubmit", "POST", "/resubmitter/range/plain?topic=gone", { broker_id: "plain" });
    expect(status).toBe(400);
    expect(body.errors.pipeline_errors).toHaveLength(10);
    expect(body.errors.pipeline_errors[0]).toMatchObject({ reason: "publish_error" });
    expect((await resubmitted(cloud, "range/plain?topic=replay", { broker_id: "plain" })).status).toBe(200);
  }, 60_000);

  test.each([
    ["no JSON", "text/plain", "hello"],
    ["no message", "application/json", "{}"],
    ["a message without id", "application/json", '{"message":{"data":"eA=="}}'],
    ["wrong base64", "application/json", '{"message":{"messageId":"7","data":"***"}}'],
    ["an attribute that is no text", "application/json", '{"message":{"messageId":"8","data":"eA==","attributes":{"a":1}}}'],
  ])(
    "dead-letter a push body of %s with the reason, and let it rest",
    async (what, type, body) => {
      const before = await countOf(cloud, "dead-letter");
      const headers = { authorization: `Bearer ${await cloud.triggerToken()}`, "content-type": type };
      const response = await fetch(`${cloud.functions.persist.url}/persist/plain`, { method: "POST", headers, body });
      expect([what, response.status]).toEqual([what, 204]);
      await indexed(cloud, "dead-letter", before + 1);
      const { body: page } = await call(cloud, "query", "POST", "/indexer/query/dead-letter?limit=1000", {
        filters: [{ "additional_metadata.deadLetterErrorCategory": "undecodable", "additional_metadata.persistor-pipeline": "plain" }],
      });
      expect(page.messages.at(-1).additional_metadata.deadLetterErrorReason).toMatch(/push/);
    },
    60_000,
  );

  test("let the framework refuse what says it is JSON and is not, and Pub/Sub keep what no pipeline takes", async () => {
    const headers = { authorization: `Bearer ${await cloud.triggerToken()}`, "content-type": "application/json" };
    const post = async (path: string, body: string) =>
      (await fetch(cloud.functions.persist.url + path, { method: "POST", headers, body })).status;
    expect(await post("/persist/plain", "{")).toBe(400);
    expect(await post("/persist/unknown", '{"message":{"messageId":"1","data":"eA=="}}')).toBe(404);
    expect(await post("/persist", '{"message":{"messageId":"1","data":"eA=="}}')).toBe(404);
  });

  test("keep a payload of 10 MB and a hundred attributes of 1,024 bytes, and dead-letter what is above a pipeline's limit", async () => {
    const token = await cloud.triggerToken();
    const before = await countOf(cloud, "plain");
    const attributes = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`name-${i}`, "v".repeat(1_024)]));
    const large = Buffer.alloc(10_000_000, "0123456789").toString("base64");
    expect(await postPush(cloud, "plain", token, { messageId: "large", data: large, attributes })).toBe(204);
    await indexed(cloud, "plain", before + 1);
    const { body } = await call(cloud, "query", "GET", "/indexer/exact/plain/plain_large");
    expect(body).toMatchObject({ payload_size: 10_000_000, additional_metadata: attributes });
    const letters = await countOf(cloud, "dead-letter");
    const tooLarge = Buffer.alloc(9_900_000, "9876543210").toString("base64");
    expect(await postPush(cloud, "small", token, { messageId: "large", data: tooLarge })).toBe(204);
    await indexed(cloud, "dead-letter", letters + 1);
    expect(await countOf(cloud, "small")).toBe(0);
    const redriven = await resubmitted(cloud, "query/dead-letter?topic=replay", {
      filters: [{ "additional_metadata.persistor-pipeline": "small", "additional_metadata.deadLetterErrorCategory": "too_large" }],
    });
    expect(redriven).toMatchObject({ status: 200, summary: { published_count: 1, verified_count: 1 } });
  }, 120_000);

  test("tell Pub/Sub to slow down where they hold as much as they may, and take the rest once it is stored", async () => {
    const token = await cloud.triggerToken();
    const before = await countOf(cloud, "plain");
    storage.fail({ kind: "delay", delayMs: 8_000 });
    const data = Buffer.alloc(9_000_000, "held").toString("base64");
    const waiting = new Set(Array.from({ length: 10 }, (_, i) => `held-${i}`));
    const statuses: number[] = [];
    for (let round = 0; waiting.size > 0 && round < 10; round++) {
      await Promise.all(
        [...waiting].map(async (messageId) => {
          const status = await postPush(cloud, "plain", token, { messageId, data });
          statuses.push(status);
          if (status === 429) storage.fail(null);
          if (status === 204) waiting.delete(messageId);
        }),
      );
    }
    expect(waiting.size).toBe(0);
    expect(new Set(statuses)).toEqual(new Set([204, 429]));
    storage.fail(null);
    await indexed(cloud, "plain", before + 10);
  }, 120_000);

  test("take up a job whose message was lost, when the scheduler asks for it", async () => {
    await cloud.pumps["persistor-work"]?.stop();
    const path = "/resubmitter/range/plain?topic=replay&limit=5";
    const accepted = await call(cloud, "resubmit", "POST", path, { broker_id: "plain" }, { prefer: "respond-async" });
    expect(accepted.status).toBe(202);
    const headers = { authorization: `Bearer ${await cloud.triggerToken()}`, "content-type": "application/json" };
    const post = (suffix: string, body?: unknown) =>
      fetch(`${cloud.functions["resubmit-work"].url}/resubmit-work${suffix}`, {
        method: "POST",
        headers,
        body: JSON.stringify(body ?? {}),
      });
    expect(await (await post("/sweep")).json()).toEqual({ taken_up: 1 });
    const subscription = `projects/${cloud.projectId}/subscriptions/persistor-work-worker`;
    const pulled = await fetch(`http://${cloud.emulator.host}/v1/${subscription}:pull`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"maxMessages": 10}',
    });
    const { receivedMessages } = (await pulled.json()) as { receivedMessages: { message: Record<string, unknown> }[] };
    expect((await post("", { message: receivedMessages.at(-1)?.message, subscription })).status).toBe(204);
    expect(await ended(cloud, accepted.headers.get("location") as string)).toMatchObject({
      state: "succeeded",
      summary: { verified_count: 5 },
    });
    expect(await (await post("/sweep")).json()).toEqual({ taken_up: 0 });
    expect((await post("", { message: { messageId: "x", data: "eA==", publishTime: "2026-01-01T00:00:00Z" } })).status).toBe(204);
  }, 60_000);

  test("open to nobody but the accounts of the settings", async () => {
    const { issuer } = cloud;
    const good = {
      aud: "https://persistor.local",
      email: "trigger@persistor-local.iam.gserviceaccount.com",
      email_verified: true,
      sub: "1",
    };
    const statusOf = async (target: "persist" | "persist-pull" | "index" | "resubmit-work", authorization?: string) => {
      const path = target === "index" || target === "resubmit-work" ? `/${target}` : `/${target}/plain`;
      const headers: Record<string, string> = { "content-type": "application/json", ...(authorization ? { authorization } : {}) };
      const body = '{"message":{"messageId":"auth","data":"e30="}}';
      return (await fetch(cloud.functions[target].url + path, { method: "POST", headers, body })).status;
    };
    for (const target of ["persist", "persist-pull", "index", "resubmit-work"] as const) {
      expect(await statusOf(target)).toBe(401);
      expect(await statusOf(target, `Bearer ${await issuer.token({ ...good, aud: "https://elsewhere" })}`)).toBe(401);
      expect(await statusOf(target, `Bearer ${await issuer.token({ ...good, email: "other@example.com" })}`)).toBe(403);
      expect(await statusOf(target, `Bearer ${cloud.apiKey}`)).toBe(401);
    }
    for (const target of ["query", "resubmit"] as const) {
      const prefix = target === "query" ? "/indexer/collections" : "/resubmitter/jobs";
      expect((await fetch(cloud.functions[target].url + prefix)).status).toBe(401);
    }
  });
});

async function postPush({ functions }: GcpCloud, pipelineName: string, token: string, message: Record<string, unknown>): Promise<number> {
  const response = await fetch(`${functions.persist.url}/persist/${pipelineName}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ message: { publishTime: "2026-01-02T03:04:05.678Z", ...message }, subscription: "projects/p/subscriptions/s" }),
  });
  await response.arrayBuffer();
  return response.status;
}
