import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deadLetter, redriven } from "../../shared/core/dead-letter/dead-letter.ts";
import { digestOf } from "../../shared/core/digest.ts";
import { StoreError } from "../../shared/core/errors.ts";
import { type Message, type MessageContent, stringAttribute, textAttribute } from "../../shared/core/message.ts";
import { persist } from "../../shared/core/persist/persist.ts";
import { comparable, NASTY_ATTRIBUTES } from "../contract/support-messages.ts";
import { messagesOf, openLocal, pipelineOf, storedRecords, textContent, until } from "../e2e/support-local.ts";
import { openHost, type TestHost } from "../fixtures/host.ts";
import { message } from "../fixtures/messages.ts";
import { type Bench, deps, drain, openPipeline } from "../fixtures/pipeline.ts";

const SIX_NAMES = [
  "deadLetterErrorCategory",
  "deadLetterErrorReason",
  "deadLetterSource",
  "persistor-pipeline",
  "persistor-message-id",
  "persistor-publish-time",
];
const LOCATION = "persistor-dead-letter-location";
const category = (name: string) => ({ filters: [{ "additional_metadata.deadLetterErrorCategory": name }] });
const byCategory = (name: string) => ({ op: "$eq", field: { kind: "attribute", name: "deadLetterErrorCategory" }, value: name }) as const;

describe("a message that is too large for its pipeline", () => {
  let host: TestHost;
  let elsewhere: string;

  const content = (change: Partial<MessageContent> = {}): MessageContent =>
    textContent("", { payload: Buffer.alloc(3_000, 7), key: Buffer.from("key"), orderingKey: "o", contentType: "x/y", ...change });
  /** Attributes of the names that a dead letter adds, but the sender's own. */
  const own = [...SIX_NAMES, LOCATION].map((name) => stringAttribute(name, `my ${name}`));
  const LETTERS: Record<string, MessageContent> = {
    plain: content({ attributes: [stringAttribute("case", "plain"), ...NASTY_ATTRIBUTES] }),
    "with the broker's properties": content({
      attributes: [stringAttribute("case", "with the broker's properties")],
      system: [stringAttribute("correlation-id", "c")],
    }),
    "with names of its own that a letter has": content({
      attributes: [...own, stringAttribute("case", "with names of its own that a letter has")],
    }),
    "with such names twice": content({ attributes: [...own, stringAttribute("case", "with such names twice"), ...own] }),
  };
  const WITHOUT_PAYLOAD = content({
    payloadKind: "null",
    payload: new Uint8Array(0),
    attributes: [stringAttribute(LOCATION, `dead-letter/orders/${"x".repeat(3_000)}`)],
  });
  /** As large as the broker takes, so that it takes no letter of it. */
  const HUGE = textContent("", {
    payload: Buffer.alloc(16_777_100, "huge"),
    attributes: [stringAttribute("case", "huge")],
    key: Buffer.from("k"),
  });

  /** Between the limit of a pipeline by default and that of the broker: a letter of it is large, too. */
  const LARGE = textContent("", { payload: Buffer.alloc(16_100_000, "large"), attributes: [stringAttribute("case", "large")] });

  const pipelines = (maxMessageBytes: number) =>
    JSON.stringify({
      orders: pipelineOf("orders", {
        deadLetter: {},
        batch: { maxMessageBytes, maxWaitMs: 20 },
        store: { kind: "fs", dir: elsewhere, prefix: "raw/a", path: "" },
      }),
    });

  const all = [...Object.values(LETTERS), WITHOUT_PAYLOAD, LARGE, HUGE];

  beforeAll(async () => {
    elsewhere = await mkdtemp(join(tmpdir(), "persistor-elsewhere-"));
    host = await openHost({ PERSISTOR_PIPELINES: pipelines(2_000) });
    for (const one of all) await (await host.composition.embedded()).publisher.publish("orders", [one]);
    await until("the dead letters", async () => (await records()).length === all.length);
  });
  afterAll(async () => {
    await host.dispose();
    await rm(elsewhere, { recursive: true, force: true });
  });

  const records = () => host.composition.index.find("dead-letter", { filter: byCategory("too_large"), order: "publish", limit: 100 });

  it("is stored and indexed in the collection dead-letter, found by its category, with reason and source", async () => {
    const { status, body } = await host.call("POST", "/indexer/query/dead-letter?count=true", category("too_large"));
    expect([status, body.total_count]).toEqual([200, all.length]);
    const plain = body.messages.find(({ additional_metadata: of }: { additional_metadata: { case?: string } }) => of.case === "plain");
    expect(plain.additional_metadata).toMatchObject({
      deadLetterErrorCategory: "too_large",
      deadLetterErrorReason: "the message is larger than the pipeline's limit of 2000 bytes",
      deadLetterSource: "orders",
      "persistor-pipeline": "orders",
      "persistor-message-id": expect.stringMatching(/^orders_\d+$/),
      "persistor-publish-time": expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    });
    expect(plain.broker_id).toBe("persistor-dead-letter");
    expect((await host.call("POST", "/indexer/query/orders?count=true", { filters: [{}] })).body.total_count).toBe(0);
  });

  it("keeps attributes of the sender that have a letter's names, beside the letter's", async () => {
    const { body } = await host.call("POST", "/indexer/query/dead-letter", {
      filters: [{ "additional_metadata.persistor-pipeline": "my persistor-pipeline" }],
    });
    expect(body.messages[0].additional_metadata["persistor-pipeline"]).toEqual({ $repeated: ["my persistor-pipeline", "orders"] });
  });

  it("leaves a pointer where the broker cannot carry the letter, and lies in the store itself", async () => {
    const { body } = await host.call("POST", "/indexer/query/dead-letter", {
      filters: [{ [`additional_metadata.${LOCATION}`]: { $gte: "raw/", $lt: "raw0" } }],
    });
    expect(body.messages).toHaveLength(1);
    expect(body.messages[0].payload_size).toBe(0);
    expect(body.messages[0].additional_metadata[LOCATION]).toMatch(/^raw\/a\/dead-letter\/orders\//);
  });

  it("goes back to its source once that takes it, exactly as it was", async () => {
    await host.restart({ PERSISTOR_PIPELINES: pipelines(20_000_000) });
    const { status, body } = await host.call("POST", "/resubmitter/query/dead-letter?topic=orders", category("too_large"));
    expect(body.errors).toEqual({ indexer_errors: [], pipeline_errors: [] });
    expect([status, body.summary.published_count]).toEqual([200, all.length]);
    const { index } = host.composition;
    const found = () => index.find("orders", { filter: { op: "all", of: [] }, order: "publish", limit: 100 });
    await until("the redriven messages", async () => (await found()).length === all.length);
    const hex = (one: MessageContent) => digestOf(one).toString("hex");
    expect((await found()).map(({ digest }) => digest).sort()).toEqual(all.map(hex).sort());
    const stored: MessageContent[] = [];
    const listed = storedRecords(host, "orders", "raw/a/orders_");
    for (const { record } of await listed) stored.push(record.message);
    // The payload stands as its hash: in full, the largest would keep the process busy for seconds.
    const text = (one: MessageContent) =>
      JSON.stringify(comparable({ ...one, payload: createHash("sha256").update(one.payload).digest() }));
    const texts = new Set(stored.map(text));
    const lost = all.filter((one) => !texts.has(text(one)));
    expect(lost.map(({ attributes }) => textAttribute(attributes, "case"))).toEqual([]);
  });

  it("is not found among the stored messages of its pipeline when the index is built again", async () => {
    const { body } = await host.call("POST", "/admin/maintenance", { kind: "audit", pipeline: "orders" });
    let job = await host.call("GET", `/admin/maintenance/${body.job}`);
    while (job.body.state !== "succeeded") job = await host.call("GET", `/admin/maintenance/${body.job}`);
    expect(job.body.progress).toMatchObject({ records: all.length, indexed: all.length, missing_in_index: 0, unreadable_objects: 0 });
  });
});

describe("a pointer to a dead letter that somebody forged", () => {
  const FORGED: Record<string, [pipeline: string, location: string]> = {
    "outside the store": ["orders", "../../../etc/passwd"],
    "to a stored message": ["orders", "orders/orders_1-1-00000000000000000000000000000000.avro"],
    "to nothing": ["orders", "dead-letter/orders/none.letter.avro"],
    "through the folder and out": ["orders", "dead-letter/orders/../../orders/x"],
    "to the folder of another pipeline": ["orders", "dead-letter/other/none.letter.avro"],
    "to a pipeline whose dead letters go elsewhere": ["other", "dead-letter/other/none.letter.avro"],
    "to no pipeline": ["__proto__", "dead-letter/__proto__/none.letter.avro"],
  };

  it("makes nobody read what it points to, and is named as failed", async () => {
    const local = await openLocal({ orders: pipelineOf("orders", { deadLetter: {} }), other: pipelineOf("other") });
    try {
      const letters = Object.values(FORGED).map(([pipeline, location]) => {
        const values = ["too_large", "reason", "orders", pipeline, "orders_1", "2026-01-01T00:00:00Z", location];
        const attributes = [...SIX_NAMES, LOCATION].map((name, i) => stringAttribute(name, values[i] as string));
        return textContent("", { payloadKind: "null", payload: new Uint8Array(0), attributes });
      });
      await local.publish("persistor-dead-letter", letters);
      await local.indexed("dead-letter", letters.length);
      const { job, summary } = await local.resubmit("dead-letter", "redriven");
      expect(job.state).toBe("failed");
      expect(summary).toMatchObject({ failures: letters.length, counts: { published: 0 } });
      const [item] = await local.composition.items.list(job.id, { limit: 1 });
      const details = item?.failures.map(({ reason, detail }) => `${reason}: ${detail}`) ?? [];
      expect(details.filter((detail) => /^storage_error: reading dead letter .*: it lies outside/.test(detail))).toHaveLength(
        letters.length - 2,
      );
      expect(details.filter((detail) => /^storage_error: reading object dead-letter\/orders\/none/.test(detail))).toHaveLength(1);
      expect(await messagesOf(local, "redriven")).toEqual([]);
    } finally {
      await local.dispose();
    }
  });
});

describe("what an index topic brings that is no index message", () => {
  it("is dead-lettered with the category undecodable, and refused for a collection that nobody has, while records beside it are indexed", async () => {
    // Both pipelines share the index topic; the added one, of the dead letters, has no dead-letter topic itself.
    const local = await openLocal({ orders: pipelineOf("orders", { deadLetter: {}, index: { collection: "orders" } }) });
    try {
      const unknown = JSON.stringify({ v: 1, collection: "nothing", records: [] });
      await local.publish(
        "persistor-index",
        ["{", "[]", "\u0000", '{"v": 2, "records": []}', unknown].map((text) => textContent(text)),
      );
      await local.publish("orders", [textContent("a good one")]);
      await local.indexed("dead-letter", 5);
      await local.indexed("orders", 1);
      expect(await local.records("dead-letter", byCategory("undecodable"))).toHaveLength(4);
      const [refused] = await local.records("dead-letter", byCategory("refused"));
      expect(Object.fromEntries(refused?.attributes ?? [])).toMatchObject({
        deadLetterErrorReason: "reading an index message: nothing is no collection of any pipeline",
        deadLetterSource: "persistor-index",
      });
      await local.drained();
      const { summary } = await local.resubmit("dead-letter", "looked-at");
      expect(summary.counts.verified).toBe(5);
      expect(
        (await messagesOf(local, "looked-at")).map(({ payload, attributes }) => [Buffer.from(payload).toString(), attributes]),
      ).toContainEqual(["{", []]);
    } finally {
      await local.dispose();
    }
  });
});

describe("a pipeline that stores dead letters", () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await openPipeline({ isDeadLetters: true });
  });
  afterAll(() => bench.dispose());

  it("releases what it cannot store, though it has a dead-letter topic", async () => {
    const outcomes = await persist(bench.pipeline, [message(1, { payload: Buffer.alloc(200_000) }), message(2)], deps);
    expect(outcomes.map(({ kind }) => kind)).toEqual(["released", "stored"]);
    expect(await drain(bench.broker, "dead", "letters")).toEqual([]);
  });

  it("releases what its store refuses for ever", async () => {
    const objects = { ...bench.store, put: () => Promise.reject(new StoreError("key_invalid", "writing an object: refused")) };
    const pipeline = { ...bench.pipeline, store: { ...bench.pipeline.store, objects } };
    expect((await persist(pipeline, [message(3)], deps)).map(({ kind }) => kind)).toEqual(["released"]);
    expect(await drain(bench.broker, "dead", "letters")).toEqual([]);
  });
});

describe("taking a letter's names off", () => {
  const open = () => openPipeline();
  const nowhere = () => undefined;

  it("takes off the last of each name, wherever other attributes stand, and leaves a message that is no letter alone", async () => {
    const [first, ...rest] = SIX_NAMES.map((name) => stringAttribute(name, "ours"));
    const mine = stringAttribute("deadLetterErrorCategory", "mine");
    const shuffled = textContent("x", { attributes: [mine, ...rest.toReversed(), stringAttribute("a", "1"), first ?? mine] });
    expect((await redriven(shuffled, nowhere)).attributes).toEqual([mine, stringAttribute("a", "1")]);
    const none = textContent("x", { attributes: [stringAttribute("a", "1")] });
    expect(await redriven(none, nowhere)).toEqual(none);
  });

  it("refuses a stored letter whose bytes are not those of its digest, or that is another message", async () => {
    const bench = await open();
    try {
      const limits = { ...bench.broker.publisher.limits, maxMessageBytes: 1_000 };
      const pipeline = { ...bench.pipeline, deadLetter: { publisher: { ...bench.broker.publisher, limits }, topic: "dead" } };
      const letterOf = async (record: Message, digest: Buffer) => {
        await deadLetter(pipeline, [
          { record: { message: record, digest, ingestionTimeUs: 0, pipeline: "orders" }, category: "too_large", reason: "large" },
        ]);
        const [letter] = await drain(bench.broker, "dead", "letters");
        return letter as Message;
      };
      const overflow = () => ({ objects: bench.store, folder: "dead-letter/orders/" });
      const large = message(1, { payload: Buffer.alloc(5_000, 1) });
      const good = await letterOf(large, digestOf(large));
      expect(comparable(await redriven(good, overflow))).toEqual(comparable(large));
      const torn = await letterOf(message(2, { payload: Buffer.alloc(5_000, 2) }), Buffer.alloc(32, 1));
      await expect(redriven(torn, overflow)).rejects.toMatchObject({ code: "object_corrupt" });
      const attributes = good.attributes.map((one) => (one.name === "persistor-message-id" ? stringAttribute(one.name, "orders_9") : one));
      await expect(redriven({ ...good, attributes }, overflow)).rejects.toMatchObject({ code: "object_corrupt" });
    } finally {
      await bench.dispose();
    }
  });
});
