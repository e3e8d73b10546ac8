import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readdir, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { IndexRecord } from "../../shared/core/index-record.ts";
import { type RebuildProgress, rebuildIndex } from "../../shared/core/maintenance/rebuild.ts";
import type { Pipeline } from "../../shared/core/pipeline.ts";
import type { Job } from "../../shared/core/ports/job-store.ts";
import { NO_LOG } from "../../shared/core/ports/log.ts";
import { NO_METER } from "../../shared/core/ports/meter.ts";
import { newJob } from "../../shared/core/resubmit/jobs.ts";
import { anyContent, NASTY_ATTRIBUTES } from "../contract/support-messages.ts";
import { messagesOf, textContent, until } from "../e2e/support-local.ts";
import { openHost, pipelinesOf, type TestHost } from "../fixtures/host.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const EVERYTHING = { op: "all", of: [] } as const;
const CLEAN = { duplicates: 0, missing_in_index: 0, missing_in_store: 0, unreadable_objects: 0, findings: [] };

let dataDir: string;
let host: TestHost;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "persistor-maintenance-"));
});
afterEach(async () => {
  await host.dispose();
  await rm(dataDir, { recursive: true, force: true });
});

async function open(topics: Record<string, Record<string, unknown>>): Promise<void> {
  host = await openHost({ PERSISTOR_DATA_DIR: dataDir, PERSISTOR_PIPELINES: pipelinesOf(topics) });
}

/** Stops the host, takes its index away, and starts it again. */
async function loseIndex(topics: Record<string, Record<string, unknown>>): Promise<void> {
  await host.dispose();
  for (const name of await readdir(dataDir)) if (name.startsWith("index.db")) await rm(join(dataDir, name));
  await open(topics);
}

const orders = (count: number, type = (n: number) => `t${n % 4}`) =>
  Array.from({ length: count }, (_, n) => ({ text: `order ${n}`, attributes: { type: type(n), number: n } }));

const recordsOf = (collection: string) => host.composition.index.find(collection, { filter: EVERYTHING, order: "publish", limit: 100_000 });

/** All of the records but the indexer's own time. */
const lasting = (records: readonly IndexRecord[]) => records.map(({ indexer_ingestion_time: _, ...record }) => record);

/** Starts a rebuild or an audit by the admin call and waits for its end. */
async function maintain(kind: "rebuild" | "audit", pipeline: string) {
  const { status, headers, body } = await host.call("POST", "/admin/maintenance", { kind, pipeline });
  expect(status).toBe(202);
  for (;;) {
    const { body: job } = await host.call("GET", headers.get("location") as string);
    if (job.state === "succeeded") {
      expect(job).toMatchObject({ id: body.job, kind, pipeline, error: null });
      return job.progress;
    }
    await host.composition.clock.sleep(10);
  }
}

/** The files of the objects in a folder of the store. */
async function objectsIn(folder: string): Promise<string[]> {
  const entries = await readdir(join(dataDir, "objects", folder), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return files.sort();
}

async function deleteRecords(collection: string, ids: readonly string[]): Promise<void> {
  const { DatabaseSync } = await import("node:sqlite");
  const database = new DatabaseSync(join(dataDir, "index.db"));
  const remove = database.prepare("DELETE FROM record WHERE unique_id = ? AND collection = (SELECT id FROM collection WHERE name = ?)");
  for (const id of ids) remove.run(id, collection);
  database.close();
}

describe("a rebuild", () => {
  it.each([
    ["avro", {}],
    ["avro with deflate in small objects", { codec: "deflate" }],
    ["raw", { format: "raw" }],
    ["raw in a folder", { format: "raw", prefix: "raw/objects" }],
  ])("from objects of the format %s makes the lost index again, each record as it was", async (_, change) => {
    const topics = { orders: { store: { name: "local", path: "{topic}/{attribute:type}", ...change } }, others: {} };
    await open(topics);
    const contents = [
      ...fc.sample(anyContent, { numRuns: 60, seed: 7 }),
      textContent("nasty", { attributes: NASTY_ATTRIBUTES, key: Buffer.from("k") }),
    ];
    await (await host.composition.embedded()).publisher.publish("orders", contents);
    await host.feed("others", orders(20));
    await host.feed("orders", orders(100));
    await until("all records", async () => (await recordsOf("orders")).length === 100 + contents.length);
    const before = { orders: await recordsOf("orders"), others: await recordsOf("others") };
    await loseIndex(topics);
    expect(await recordsOf("orders")).toEqual([]);
    const progress = await maintain("rebuild", "orders");
    expect(progress).toMatchObject({ records: before.orders.length, unreadable_objects: 0, unreadable: [] });
    expect(lasting(await recordsOf("orders"))).toEqual(lasting(before.orders));
    expect(await recordsOf("others")).toEqual([]);
    await maintain("rebuild", "others");
    expect(lasting(await recordsOf("others"))).toEqual(lasting(before.others));
    expect(await maintain("audit", "orders")).toMatchObject({ ...CLEAN, indexed: before.orders.length });
    const { status, body } = await host.call("POST", "/resubmitter/query/orders?topic=again", { filters: [{}] });
    expect([status, body.summary.verified_count]).toEqual([200, before.orders.length]);
  });

  it("of an index that is there changes nothing, also where an id is there with two contents", async () => {
    await open({ orders: {} });
    await host.feed("orders", orders(40));
    const [first] = await recordsOf("orders");
    const other = { ...(first as IndexRecord), digest: "f".repeat(64), location_key: "elsewhere.avro" };
    await host.composition.index.upsert("orders", [other]);
    const before = await recordsOf("orders");
    await maintain("rebuild", "orders");
    expect(await recordsOf("orders")).toEqual(before);
  });

  it("goes on behind its cursor when it was stopped in the middle", async () => {
    const topics = { orders: { batch: { maxMessages: 1_000, maxWaitMs: 20 }, store: { name: "local", path: "{topic}/{attribute:type}" } } };
    await open(topics);
    const count = 24_000;
    await host.feed(
      "orders",
      orders(count, (n) => `t${n % 25}`),
    );
    const before = await recordsOf("orders");
    await loseIndex(topics);
    const pipeline = host.composition.pipelines.get("orders") as Pipeline;
    const { jobs, clock, index } = host.composition;
    const spec = {
      id: "stopped",
      kind: "rebuild" as const,
      collection: "orders",
      topic: "",
      request: { pipeline: "orders" },
      createdBy: "test",
    };
    // A finished job is not taken up by the host's own runner: this one is driven by hand.
    const job: Job = {
      ...newJob({ ...spec, upperBoundMs: 0, idempotencyKey: null, requestHash: null, progress: null }, 0),
      state: "cancelled",
    };
    const reads: string[] = [];
    const stop = new AbortController();
    const watched: Pipeline = {
      ...pipeline,
      store: {
        ...pipeline.store,
        objects: {
          ...pipeline.store.objects,
          get(key, range) {
            reads.push(key);
            return pipeline.store.objects.get(key, range);
          },
        },
      },
    };
    let saved: Job | undefined = await jobs.insert(job);
    const drive = (from: Job, signal: AbortSignal) =>
      rebuildIndex(from, watched, {
        index,
        clock,
        signal,
        log: NO_LOG,
        meter: NO_METER,
        jobs: {
          ...jobs,
          async update(next, items) {
            saved = await jobs.update({ ...next, state: next.state === "succeeded" ? "succeeded" : "cancelled" }, items);
            stop.abort();
            return saved;
          },
        },
      });
    await drive(saved, stop.signal);
    const afterStop = { records: (await recordsOf("orders")).length, reads: new Set(reads).size, cursor: saved?.cursor as string };
    expect(afterStop.records).toBeGreaterThan(0);
    expect(afterStop.records).toBeLessThan(count);
    expect(((saved as Job).progress as RebuildProgress).records).toBe(afterStop.records);
    const readBefore = reads.splice(0).filter((key) => key <= afterStop.cursor);
    await drive(saved as Job, new AbortController().signal);
    expect(reads.filter((key) => readBefore.includes(key))).toEqual([]);
    expect(saved).toMatchObject({ state: "succeeded", progress: { records: count } });
    expect(lasting(await recordsOf("orders"))).toEqual(lasting(before));
  });

  it("leaves the objects of another pipeline in the same folder alone, also of another format", async () => {
    const topics = {
      orders: { store: { name: "local", path: "shared" } },
      others: { store: { name: "local", path: "shared" } },
      payloads: { store: { name: "local", path: "shared", format: "raw" } },
    };
    await open(topics);
    for (const topic of ["orders", "others", "payloads"]) await host.feed(topic, orders(15));
    const before = Object.fromEntries(
      await Promise.all(Object.keys(topics).map(async (topic) => [topic, lasting(await recordsOf(topic))])),
    );
    await loseIndex(topics);
    for (const topic of Object.keys(topics)) {
      expect(await maintain("rebuild", topic)).toMatchObject({ records: 15, unreadable_objects: 0 });
      expect(lasting(await recordsOf(topic))).toEqual(before[topic]);
      expect(await maintain("audit", topic)).toMatchObject({ ...CLEAN, records: 15, indexed: 15 });
    }
  });

  it("finds what a pipeline stored before its format was changed, and in a folder that is called like the dead letters'", async () => {
    const topics = (format: string) => ({ "dead-letter": { store: { name: "local", path: "{topic}", format }, deadLetter: undefined } });
    await open(topics("avro"));
    await host.feed("dead-letter", orders(10));
    await host.restart({ PERSISTOR_PIPELINES: pipelinesOf(topics("raw")) });
    await host.feed("dead-letter", orders(10));
    const before = lasting(await recordsOf("dead-letter"));
    expect(new Set(before.map(({ codec }) => codec))).toEqual(new Set(["zstandard", "raw"]));
    await loseIndex(topics("raw"));
    await maintain("rebuild", "dead-letter");
    expect(lasting(await recordsOf("dead-letter"))).toEqual(before);
  });

  it("takes up the objects that the Go original wrote, which are then queried and resubmitted like others", async () => {
    await open({ orders: {} });
    await host.feed("orders", orders(5));
    const folder = join(dataDir, "objects", "orders", "2024");
    await mkdir(folder);
    await copyFile(join(ROOT, "tests", "fixtures", "avro", "go-original.avro"), join(folder, "original.avro"));
    expect(await maintain("audit", "orders")).toMatchObject({ records: 210, indexed: 5, missing_in_index: 205 });
    expect(await maintain("rebuild", "orders")).toMatchObject({ records: 210, unreadable_objects: 0 });
    expect(await maintain("audit", "orders")).toMatchObject({ ...CLEAN, indexed: 210 });
    const some = { filters: [{ unique_id: { $in: ["orders_id-7", "orders_id-150", "orders_id-3", "orders_id-2"] } }] };
    const { body: page } = await host.call("POST", "/indexer/query/orders", some);
    expect(page.messages.map(({ broker_msg_id }: { broker_msg_id: string }) => broker_msg_id).sort()).toEqual([
      "id-150",
      "id-2",
      "id-3",
      "id-7",
    ]);
    const { status, body } = await host.call("POST", "/resubmitter/query/orders?topic=again", some);
    expect([status, body.summary.verified_count]).toEqual([200, 4]);
    const sent = await messagesOf({ broker: await host.composition.embedded() }, "again");
    expect(sent.map(({ payload }) => Buffer.from(payload).toString()).sort()).toEqual(["", '{"n":150}', '{"n":2}', '{"n":7}']);
    const { body: all } = await host.call("POST", "/resubmitter/query/orders?topic=all", { filters: [{}] });
    expect(all.summary.verified_count).toBe(210);
  });

  it("names the objects that it cannot read, and takes what is left of them", async () => {
    const topics = { orders: {} };
    await open(topics);
    await host.feed("orders", orders(40));
    const [torn, empty] = await objectsIn("orders");
    await truncate(torn as string, 500);
    await truncate(empty as string, 0);
    await loseIndex(topics);
    const progress = await maintain("rebuild", "orders");
    expect(progress).toMatchObject({ records: 20, unreadable_objects: 2 });
    const keys = [torn, empty].map((file) => (file as string).slice(join(dataDir, "objects").length + 1));
    expect(progress.unreadable.map(({ key }: { key: string }) => key)).toEqual(keys);
    expect(await recordsOf("orders")).toHaveLength(20);
  });
});

describe("switching the index on", () => {
  it("for a pipeline that only persisted, a rebuild makes what lies there queryable", async () => {
    await open({ orders: { index: undefined }, others: {} });
    await host.call(
      "POST",
      "/topics/orders/events",
      orders(60)
        .map((one) => JSON.stringify(one))
        .join("\n"),
      { "content-type": "application/x-ndjson" },
    );
    await until("the messages to be stored", async () =>
      (await (await host.composition.embedded()).topics()).every(({ subscriptions }) =>
        subscriptions.every(({ backlog }) => backlog === 0),
      ),
    );
    const query = () =>
      host.call("POST", "/indexer/query/orders?count=true", { filters: [{ "additional_metadata.number": { $gte: 50 } }] });
    expect((await query()).status).toBe(404);
    await host.restart({ PERSISTOR_PIPELINES: pipelinesOf({ orders: {}, others: {} }) });
    expect((await query()).body.total_count).toBe(0);
    expect(await maintain("rebuild", "orders")).toMatchObject({ records: 60 });
    expect((await query()).body.total_count).toBe(10);
    const { body } = await host.call("POST", "/resubmitter/query/orders?topic=again", {
      filters: [{ "additional_metadata.number": { $gte: 50 } }],
    });
    expect(body.summary).toMatchObject({ published_count: 10, verified_count: 10 });
    await host.feed("orders", orders(5));
    expect(await maintain("audit", "orders")).toMatchObject({ ...CLEAN, records: 65, indexed: 65 });
  });
});

describe("an audit", () => {
  it("finds records that the index lacks, objects that the store lacks, torn ones, and copies, and mends nothing", async () => {
    await open({ orders: {} });
    await host.feed("orders", orders(40));
    expect(await maintain("audit", "orders")).toMatchObject({
      ...CLEAN,
      phase: "index",
      objects: 4,
      records: 40,
      indexed: 40,
      index_records: 40,
    });

    const records = await recordsOf("orders");
    const ofType = (type: string) => records.filter(({ location_key }) => location_key.startsWith(`orders/${type}/`));
    const unindexed = ofType("t0")
      .slice(0, 3)
      .map(({ unique_id }) => unique_id);
    await deleteRecords("orders", unindexed);
    const fileOf = (type: string) => objectsIn(`orders/${type}`).then(([file]) => file as string);
    const lost = await fileOf("t1");
    await rm(lost);
    const torn = await fileOf("t2");
    await truncate(torn, 600);
    // The index knows these at another place: as after a redelivery in another batch.
    const copied = ofType("t3").slice(0, 4);
    await deleteRecords(
      "orders",
      copied.map(({ unique_id }) => unique_id),
    );
    const [elsewhere] = ofType("t0");
    await host.composition.index.upsert(
      "orders",
      copied.map((record) => ({ ...record, location_key: (elsewhere as IndexRecord).location_key })),
    );

    const audit = await maintain("audit", "orders");
    expect(audit).toMatchObject({
      objects: 3,
      records: 20,
      indexed: 13,
      duplicates: 4,
      missing_in_index: 3,
      unreadable_objects: 1,
      index_records: 37,
      missing_in_store: 10,
    });
    const named = Map.groupBy(audit.findings as { kind: string; id?: string; key: string }[], ({ kind }) => kind);
    expect(
      named
        .get("missing_in_index")
        ?.map(({ id }) => id)
        .sort(),
    ).toEqual(unindexed.sort());
    expect(
      named
        .get("missing_in_store")
        ?.map(({ id }) => id)
        .sort(),
    ).toEqual(
      ofType("t1")
        .map(({ unique_id }) => unique_id)
        .sort(),
    );
    expect(named.get("unreadable")?.map(({ key }) => join(dataDir, "objects", key))).toEqual([torn]);
    const again = await maintain("audit", "orders");
    expect({ ...again, findings: [] }).toEqual({ ...audit, findings: [] });

    await maintain("rebuild", "orders");
    expect(await maintain("audit", "orders")).toMatchObject({ missing_in_index: 0, indexed: 16, duplicates: 4, missing_in_store: 10 });
  });

  it("finds the same for the format raw", async () => {
    await open({ orders: { store: { name: "local", path: "{topic}", format: "raw" } } });
    await host.feed("orders", orders(12));
    const [first, second] = await recordsOf("orders");
    const file = (record: IndexRecord | undefined) => join(dataDir, "objects", record?.location_key ?? "");
    await rm(file(first));
    await rm(`${file(first)}.persistor.json`);
    await truncate(`${file(second)}.persistor.json`, 10);
    expect(await maintain("audit", "orders")).toMatchObject({
      objects: 11,
      records: 10,
      indexed: 10,
      unreadable_objects: 1,
      missing_in_store: 1,
    });
  });
});

describe("the admin call", () => {
  it("answers 404 for a pipeline that is unknown, 409 for one without index, 400 for another kind, and starts nothing", async () => {
    await open({ orders: { index: undefined }, others: {} });
    const call = (body: unknown) => host.call("POST", "/admin/maintenance", body);
    const unknown = await call({ kind: "rebuild", pipeline: "none" });
    expect(unknown).toMatchObject({ status: 404, body: { status: 404, detail: expect.stringContaining("orders, others") } });
    expect(await call({ kind: "audit", pipeline: "__proto__" })).toMatchObject({ status: 404 });
    expect(await call({ kind: "audit", pipeline: "orders" })).toMatchObject({ status: 409 });
    expect(await call({ kind: "repair", pipeline: "others" })).toMatchObject({ status: 400, body: { errors: [{ path: "kind" }] } });
    expect(await call({ kind: "audit" })).toMatchObject({ status: 400, body: { errors: [{ path: "pipeline" }] } });
    expect((await host.call("GET", "/admin/maintenance/none")).status).toBe(404);
    expect(await host.composition.jobs.list({ limit: 10 })).toEqual([]);
  });
});

describe("the npm scripts", () => {
  /** Runs a script on the data folder while no host does. */
  function run(kind: string, pipeline: string, pipelines: string): Promise<{ code: number; stdout: string; stderr: string }> {
    return new Promise((resolve) => {
      const env = { ...process.env, PERSISTOR_DATA_DIR: dataDir, PERSISTOR_PIPELINES: pipelines };
      const argv = ["--disable-warning=ExperimentalWarning", "scripts/maintain.ts", kind, pipeline].filter(Boolean);
      execFile(process.execPath, argv, { cwd: ROOT, env }, (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
      });
    });
  }

  it("rebuild and audit while no host runs, print what they counted, and say what is wrong with the pipeline", async () => {
    const topics = { orders: {}, others: { index: undefined } };
    const pipelines = pipelinesOf(topics);
    await open(topics);
    await host.feed("orders", orders(30));
    const before = await recordsOf("orders");
    await loseIndex(topics);
    await host.dispose();
    const rebuilt = await run("rebuild", "orders", pipelines);
    expect(rebuilt).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(rebuilt.stdout)).toMatchObject({ kind: "rebuild", state: "succeeded", progress: { records: 30 } });
    expect(JSON.parse((await run("audit", "orders", pipelines)).stdout)).toMatchObject({
      state: "succeeded",
      progress: { ...CLEAN, indexed: 30 },
    });
    const unknown = await run("audit", "none", pipelines);
    expect(unknown).toMatchObject({ code: 2, stdout: "" });
    expect(unknown.stderr).toBe("Name a pipeline: orders, others, dead-letter.\n");
    expect((await run("audit", "", pipelines)).code).toBe(2);
    const unindexed = await run("audit", "others", pipelines);
    expect(unindexed.code).not.toBe(0);
    expect(unindexed.stderr).toMatch(/pipeline others has no index; set its index.collection first/);
    await open(topics);
    expect(lasting(await recordsOf("orders"))).toEqual(lasting(before));
  });
});
