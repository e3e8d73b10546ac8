import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, sep } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { IndexRecord } from "../../shared/core/index-record.ts";
import { stringAttribute } from "../../shared/core/message.ts";
import type { PortWrappers } from "../../shared/runtime/compose.ts";
import { openHost, type TestHost } from "../fixtures/host.ts";
import { type Local, messagesOf, openLocal, pipelineOf, textContent, until } from "./support-local.ts";

const PATHS = [
  "../../x",
  "..",
  ".",
  "../",
  "/etc/passwd",
  "//x",
  "a/../../../x",
  "%2e%2e",
  "%2e%2e%2f%2e%2e%2fx",
  "..%2f..%2fx",
  "%252e%252e",
  "..\\..\\x",
  "C:\\x",
  "x\u0000y",
  "\u0000",
  "\n",
  "a\r\nb",
  "\u007f",
  "~",
  "~root",
  "",
  " ",
  "con",
  "{topic}",
  "$HOME",
  "`id`",
  "\u2025/\uFF0E\uFF0E",
  "x.persistor.json",
  "dead-letter",
  "x".repeat(5_000),
  "../".repeat(500),
  "\u{1F4A9}".repeat(100),
];

/** All files below a folder, relative to it. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

describe("names that lead out of a folder", () => {
  let around: string;
  let host: TestHost;

  beforeAll(async () => {
    around = await mkdtemp(join(tmpdir(), "persistor-around-"));
    const dataDir = join(around, "inner", "data");
    await mkdir(dataDir, { recursive: true });
    const store = (change: Record<string, unknown>) => ({
      store: { name: "local", path: "{attribute:type}/{attribute:../x}{topic}", ...change },
    });
    host = await openHost({
      PERSISTOR_DATA_DIR: dataDir,
      PERSISTOR_PIPELINES: JSON.stringify({
        orders: {
          ...pipelineOf("orders", { deadLetter: {} }),
          ...store({ path: "{attribute:type}" }),
          source: { topic: "orders", id: "../../\u0000evil" },
        },
        raw: { ...pipelineOf("raw"), ...store({ path: "{attribute:type}/x", format: "raw", extension: "json" }) },
        tight: pipelineOf("tight", { deadLetter: {}, batch: { maxMessageBytes: 1_000, maxWaitMs: 20 } }),
      }),
    });
  });
  afterAll(async () => {
    await host.dispose();
    await rm(around, { recursive: true, force: true });
  });

  it("in attributes, keys and ids stay names: every object lies below the store's folder, and nothing lies elsewhere", async () => {
    const messages = PATHS.map((path) => ({
      text: path,
      attributes: { type: path, [path]: path },
      orderingKey: path,
      contentType: path,
      key: Buffer.from(path).toString("base64"),
    }));
    await host.feed("orders", messages);
    await host.feed("raw", messages);
    const outside = (await filesBelow(around)).filter((file) => !file.startsWith(join("inner", "data", "objects") + sep));
    expect(outside.every((file) => /^inner\/data\/[a-z.-]+$/.test(file))).toBe(true);
    const objects = await filesBelow(join(around, "inner", "data", "objects"));
    expect(objects.length).toBeGreaterThan(2 * PATHS.length);
    for (const object of objects) {
      for (const segment of object.split(sep)) {
        expect(segment).toMatch(/^[A-Za-z0-9\-_.~%]{1,255}$/);
        expect([".", ".."]).not.toContain(segment);
      }
    }
  });

  it("come back as they were: by query, by id and by resubmission", async () => {
    const { body } = await host.call("POST", "/indexer/query/orders?limit=1000", { filters: [{}] });
    expect(
      body.messages.map(({ additional_metadata: of }: { additional_metadata: { type: string } }) => of.type.slice(0, 300)).sort(),
    ).toEqual(PATHS.map((path) => path.slice(0, 300)).sort());
    for (const { unique_id } of body.messages) {
      expect(unique_id.replace(/\d+$/, "")).toBe("../../\u0000evil_");
      const { status, body: one } = await host.call("GET", `/indexer/exact/orders/${encodeURIComponent(unique_id)}`);
      expect([status, one.unique_id]).toEqual([200, unique_id]);
    }
    const ids = body.messages.map(({ unique_id }: { unique_id: string }) => unique_id);
    const sent = await host.call("POST", "/resubmitter/resubmit/orders?topic=replay", { ids });
    expect([sent.status, sent.body.summary.verified_count]).toEqual([200, PATHS.length]);
    const { body: raw } = await host.call("POST", "/resubmitter/query/raw?topic=replay", { filters: [{}] });
    expect(raw.summary.verified_count).toBe(PATHS.length);
    const texts = (await messagesOf({ broker: await host.composition.embedded() }, "replay")).map(({ payload }) =>
      Buffer.from(payload).toString(),
    );
    expect(texts.sort()).toEqual([...PATHS, ...PATHS].sort());
  });

  it("in dead letters stay names, too", async () => {
    const before = (await filesBelow(around)).filter((file) => !file.includes("objects"));
    await host.feed(
      "tight",
      PATHS.map((path) => ({ text: "x".repeat(2_000), attributes: { type: path } })),
      "dead-letter",
    );
    expect((await filesBelow(around)).filter((file) => !file.includes("objects"))).toEqual(before);
  });

  it.each(
    PATHS.filter(
      (path) =>
        !["~", "con", "dead-letter", "x.persistor.json", "%2e%2e", "%252e%252e"].includes(path) &&
        path.length < 1_000 &&
        path.trim() !== "",
    ),
  )("as the topic, subscription, collection, job or destination %j are refused with a problem document, and make nothing", async (path) => {
    const topics = async () => (await host.call("GET", "/topics")).body.topics.length;
    const before = await topics();
    const name = encodeURIComponent(path);
    const calls: [method: string, url: string, body?: unknown][] = [
      ["POST", `/topics/${name}:publish`, { messages: [{}] }],
      ["POST", `/topics/${name}/subscriptions/s:pull`, { maxMessages: 1 }],
      ["POST", `/topics/orders/subscriptions/${name}:pull`, { maxMessages: 1 }],
      ["POST", `/indexer/query/${name}`, { filters: [{}] }],
      ["GET", `/indexer/exact/${name}/x`],
      ["GET", `/indexer/exact/orders/${name}`],
      ["POST", `/resubmitter/range/orders?topic=${name}`, { broker_id: "orders" }],
      ["POST", `/resubmitter/range/${name}?topic=replay`, { broker_id: "orders" }],
      ["GET", `/resubmitter/jobs/${name}`],
      ["GET", `/admin/maintenance/${name}`],
      ["POST", "/admin/maintenance", { kind: "rebuild", pipeline: path }],
    ];
    for (const [method, url, body] of calls) {
      const answer = await host.call(method, url, body);
      expect([400, 404], `${method} ${url}`).toContain(answer.status);
      expect(answer.headers.get("content-type")).toMatch("application/problem+json");
      expect(answer.body).toMatchObject({ status: answer.status, title: expect.any(String), detail: expect.any(String) });
    }
    expect(await topics()).toBe(before);
    await expect.poll(async () => (await host.call("GET", "/readyz")).status).toBe(200);
  });
});

describe("an attribute that is called like a folder of the store's own", () => {
  it.each([".tmp", "%tmp", "..", "."])("%s makes an ordinary folder", async (type) => {
    const local = await openLocal({ orders: pipelineOf("orders", { deadLetter: {}, store: { name: "local", path: "{attribute:type}" } }) });
    try {
      await local.publish("orders", [textContent("one", { attributes: [stringAttribute("type", type)] })]);
      await local.indexed("orders", 1);
    } finally {
      await local.dispose();
    }
  });
});

describe("a record in the index", () => {
  let local: Local;
  let good: IndexRecord[];
  let secret: IndexRecord;
  let neighbour: IndexRecord;
  /** Keys that a store was asked for and gave. */
  const read = new Set<string>();
  const wrap: PortWrappers = {
    store: (store) => ({
      ...store,
      async get(key, range) {
        const object = await store.get(key, range);
        read.add(key);
        return object;
      },
    }),
  };

  beforeAll(async () => {
    const pipelines = {
      orders: pipelineOf("orders", { store: { name: "local", prefix: "public", path: "{topic}" }, deadLetter: {} }),
      neighbours: pipelineOf("neighbours", { store: { name: "local", prefix: "public", path: "{topic}" } }),
      secrets: pipelineOf("secrets", { store: { name: "local", prefix: "private", path: "{topic}" } }),
      vault: pipelineOf("vault", { store: { kind: "fs", prefix: "public", path: "{topic}" } }),
    };
    local = await openLocal(pipelines, { wrap });
    for (const topic of ["orders", "neighbours", "secrets"]) {
      await local.publish(
        topic,
        ["one", "two", "three"].map((text) => textContent(`${topic} ${text}`)),
      );
      await local.indexed(topic, 3);
    }
    good = await local.records("orders");
    [secret, neighbour] = [(await local.records("secrets"))[0], (await local.records("neighbours"))[0]] as [IndexRecord, IndexRecord];
  });
  afterAll(() => local.dispose());

  /** Puts records on the index topic as anybody could who may publish there, and waits until they are indexed. */
  async function smuggle(records: readonly unknown[]): Promise<void> {
    const before = (await local.records("orders")).length;
    for (const record of records)
      await local.publish("index", [textContent(JSON.stringify({ v: 1, collection: "orders", records: [record] }))]);
    await local.indexed("orders", before + records.length);
  }

  it("cannot make a worker read outside its collection's pipelines, nor publish what its id and digest do not match", async () => {
    const [one, two] = good as [IndexRecord, IndexRecord, IndexRecord];
    const at = ({
      store,
      location_key,
      location_position,
      block_offset,
      block_length,
      block_position,
      codec,
      format_version,
    }: IndexRecord) => ({
      store,
      location_key,
      location_position,
      block_offset,
      block_length,
      block_position,
      codec,
      format_version,
    });
    const hostile: Record<string, object> = {
      "the password file": { location_key: "../../../../../../etc/passwd" },
      "an absolute path": { location_key: "/etc/passwd" },
      "the database": { location_key: "public/../../broker.db" },
      "a folder": { location_key: "public/orders" },
      "the root": { location_key: "public" },
      "a NUL": { location_key: `${one.location_key}\u0000.txt` },
      "an encoded path": { location_key: "public/%2e%2e/private/x" },
      "a prefix alike": { location_key: "public-not/orders/x.avro" },
      "another pipeline's folder": { ...at(secret), unique_id: secret.unique_id, digest: secret.digest },
      "another pipeline's folder by dots": {
        ...at(secret),
        location_key: `public/../${secret.location_key}`,
        unique_id: `${secret.unique_id}#${secret.digest.slice(0, 16)}`,
        digest: secret.digest,
      },
      "another pipeline's object in the same folder": { ...at(neighbour), unique_id: neighbour.unique_id, digest: neighbour.digest },
      "the same without a digest": { ...at(neighbour), unique_id: `${neighbour.unique_id}#`, digest: "" },
      "another store": { ...at(one), store: "vault", unique_id: "a" },
      "a store that is none": { ...at(one), store: "__proto__", unique_id: "b" },
      "another message's place": { ...at(two), unique_id: one.unique_id, digest: two.digest },
      "a digest that only begins right": { ...at(one), unique_id: one.unique_id, digest: one.digest.slice(0, 16).padEnd(64, "0") },
      "a wrong digest": { ...at(one), unique_id: one.unique_id, digest: "0".repeat(64) },
      "a digest of no length": { ...at(one), unique_id: "c", digest: "" },
      "another id": { ...at(one), unique_id: "orders_99", digest: one.digest },
      "a record past the block's end": { ...at(one), unique_id: "d", block_position: 4_000_000_000 },
      "a block past the object's end": { ...at(one), unique_id: "e", block_offset: 2 ** 52 },
      "a block of all memory": { ...at(one), unique_id: "f", block_offset: 0, block_length: 2 ** 53 - 1 },
      "a block of no length": { ...at(one), unique_id: "g", block_length: 0 },
      "the middle of a block": { ...at(one), unique_id: "h", block_offset: one.block_offset + 3 },
      "a payload by itself": { ...at(one), unique_id: "i", codec: "raw" },
      "a codec that is none": { ...at(one), unique_id: "j", codec: "constructor" },
      "a format that is none": { ...at(one), unique_id: "k", format_version: 99 },
    };
    const records = Object.entries(hostile).map(([name, change], i) => ({
      ...one,
      unique_id: `hostile_${i}`,
      attributes: [["case", name]],
      ...change,
    }));
    await smuggle(records);
    expect(await local.records("orders")).toHaveLength(good.length + records.length);
    read.clear();
    const { job, summary } = await local.resubmit("orders", "stolen");
    expect([...read].filter((key) => !key.startsWith("public/"))).toEqual([]);
    expect(job.state).toBe("partial");
    expect(summary.counts).toMatchObject({ indexed: good.length + records.length, published: good.length, verified: good.length });
    const failures = (await local.composition.items.list(job.id, { limit: 100 })).flatMap((item) => item.failures);
    expect(failures).toHaveLength(records.length);
    for (const { reason } of failures) expect(["storage_error", "deserialization_error", "digest_mismatch"]).toContain(reason);
    const sent = (await messagesOf(local, "stolen")).map(({ payload }) => Buffer.from(payload).toString());
    expect(sent.sort()).toEqual(["orders one", "orders three", "orders two"]);
  });

  it("that no database would take is dead-lettered or kept, and does not hold up those beside it", async () => {
    const [one] = good as [IndexRecord];
    const strange: object[] = [
      { publish_time: 1e300 },
      { publish_time: -1e300 },
      { publish_time: 2 ** 60 },
      { ingestion_time: 1e19, indexer_ingestion_time: -1e19 },
      { sequence: "9999999999999999999" },
      { sequence: "-9223372036854775809" },
      { location_position: 2 ** 53 - 1 },
      { unique_id: "lone \ud800 half" },
      { unique_id: "nul \u0000" },
      { unique_id: "x".repeat(100_000) },
      {
        attributes: [
          ["a", 1e308],
          ["a", -0],
          ["", ""],
          ["\ud800", "\udfff"],
          ["\u0000", "\u0000"],
          ["__proto__", true],
        ],
      },
      { attributes: Array.from({ length: 5_000 }, (_, i) => [`name ${i}`, i]) },
      { attributes: [["long", "x".repeat(300_000)]] },
      { truncated_attributes: ["a", 1, null] },
      { digest: "not hex" },
      { content_type: "\ud800" },
    ];
    const before = (await local.records("dead-letter")).length;
    const records = strange.map((change, i) => ({ ...one, unique_id: `strange_${i}`, ...change }));
    for (const record of records) {
      const text = JSON.stringify({ v: 1, collection: "orders", records: [record] }).replace("1e+308", "1e999");
      await local.publish("index", [textContent(text)]);
    }
    await local.publish("orders", [textContent("after them", { attributes: [stringAttribute("after", "them")] })]);
    const after = { op: "$eq", field: { kind: "attribute", name: "after" }, value: "them" } as const;
    await until("the good record", async () => (await local.records("orders", after)).length === 1);
    await local.drained();
    const letters = (await local.records("dead-letter")).length - before;
    const kept = (await local.records("orders")).filter(({ broker_msg_id }) => broker_msg_id === one.broker_msg_id);
    expect(letters + kept.length).toBeGreaterThanOrEqual(strange.length);
  });

  it("of whatever form, and bytes of whatever kind, leave the indexer at work", async () => {
    const field = fc.constantFrom(...Object.keys(good[0] as IndexRecord), "v", "collection", "records", "__proto__", "additional_metadata");
    const broken = fc.tuple(field, fc.jsonValue()).map(([name, value]) =>
      JSON.stringify({
        v: 1,
        collection: "orders",
        records: [Object.defineProperty({ ...good[0], unique_id: "broken" }, name, { value, enumerable: true })],
      }),
    );
    const texts = fc.sample(fc.oneof(broken, fc.json(), fc.string({ unit: "binary" })), { numRuns: 300, seed: 9 });
    for (const text of texts) await local.publish("index", [textContent(text)]);
    await local.publish("orders", [textContent("at last", { attributes: [stringAttribute("at", "last")] })]);
    const last = { op: "$eq", field: { kind: "attribute", name: "at" }, value: "last" } as const;
    await until("the good record", async () => (await local.records("orders", last)).length === 1);
    await local.drained();
  });
});
