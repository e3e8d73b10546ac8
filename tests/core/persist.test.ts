import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { StoreError } from "../../shared/core/errors.ts";
import { decodeIndexMessage } from "../../shared/core/index/index-message.ts";
import type { IndexRecord } from "../../shared/core/index-record.ts";
import { stringAttribute, textAttribute } from "../../shared/core/message.ts";
import { persist } from "../../shared/core/persist/persist.ts";
import type { ObjectStore } from "../../shared/core/ports/object-store.ts";
import { message, messages } from "../fixtures/messages.ts";
import { type Bench, deps, drain, keysOf, openPipeline, storedMessages } from "../fixtures/pipeline.ts";

let bench: Bench | undefined;
afterEach(async () => {
  await bench?.dispose();
  bench = undefined;
});

async function open(...args: Parameters<typeof openPipeline>): Promise<Bench> {
  bench = await openPipeline(...args);
  return bench;
}

async function handedOver({ broker }: Bench): Promise<IndexRecord[]> {
  return (await drain(broker, "index", "indexer")).flatMap(({ payload }) => decodeIndexMessage(payload, "").records);
}

const failing = (store: ObjectStore, put: ObjectStore["put"]): ObjectStore => ({
  limits: store.limits,
  put,
  get: (key, range) => store.get(key, range),
  list: (prefix, after) => store.list(prefix, after),
  close: () => store.close(),
});

describe("persist", () => {
  it("stores every message, grouped by its path and split by count, and hands over where each lies", async () => {
    const opened = await open();
    const given = messages(250, (n) => ({ attributes: [stringAttribute("type", n % 2 ? "odd" : "even")] }));
    const outcomes = await persist(opened.pipeline, given, deps);
    expect(outcomes.every(({ kind }) => kind === "stored")).toBe(true);
    const keys = await keysOf(opened.store);
    expect(keys).toHaveLength(4);
    expect(keys.every((key) => /^orders\/(odd|even)\/orders_\d+-(100|25)-[0-9a-f]{32}\.avro$/.test(key))).toBe(true);
    const stored = await storedMessages(opened.store);
    expect(stored.map(({ payload }) => payload).sort()).toEqual(given.map(({ payload }) => Buffer.from(payload).toString()).sort());
    const records = await handedOver(opened);
    expect(records).toHaveLength(250);
    for (const record of records) expect(record.location_key).toBe(stored.find(({ id }) => id === record.broker_msg_id)?.key);
  });

  it("splits by bytes, and gives a message above the limit of an object one of its own", async () => {
    const opened = await open({ batch: { maxMessages: 100, maxBytes: 1_000, maxMessageBytes: 100_000 } });
    await persist(
      opened.pipeline,
      messages(3, (n) => ({ payload: Buffer.alloc(n === 1 ? 5_000 : 600) })),
      deps,
    );
    expect(await keysOf(opened.store)).toHaveLength(3);
  });

  it("gives a redelivered batch the same object, and takes places and times from the stored one", async () => {
    const opened = await open();
    const given = messages(40);
    await persist(opened.pipeline, given, deps);
    const first = await handedOver(opened);
    const later = { ...deps, clock: { ...deps.clock, nowMs: () => deps.clock.nowMs() + 3_600_000 } };
    const outcomes = await persist(opened.pipeline, given, later);
    expect(outcomes.every(({ kind }) => kind === "stored")).toBe(true);
    expect(await keysOf(opened.store)).toHaveLength(1);
    expect(await handedOver(opened)).toEqual(first);
  });

  it("after a crash between put and hand-over takes the places of the stored object, though it would now be encoded otherwise", async () => {
    const opened = await open();
    const given = messages(40);
    await persist({ ...opened.pipeline, index: undefined, store: { ...opened.pipeline.store, codec: "null" } }, given, deps);
    await persist(opened.pipeline, given, deps);
    const records = await handedOver(opened);
    expect(new Set(records.map(({ codec }) => codec))).toEqual(new Set(["null"]));
  });

  it("stores a batch under another name where the object of that name is not whole", async () => {
    const opened = await open();
    const given = messages(10);
    await persist(opened.pipeline, given, deps);
    const [key] = await keysOf(opened.store);
    const file = join(opened.dataDir, "objects", key as string);
    await rm(file);
    await writeFile(file, "torn");
    const outcomes = await persist(opened.pipeline, given, deps);
    expect(outcomes.every(({ kind }) => kind === "stored")).toBe(true);
    expect(await keysOf(opened.store)).toHaveLength(2);
  });

  it("releases everything while the store is full, loses nothing, and stores it once there is room", async () => {
    const opened = await open();
    const full = failing(opened.store, async () => {
      throw new StoreError("store_unavailable", "writing an object: disk full", { retryable: true });
    });
    const given = messages(20);
    const quick = { ...deps, clock: { ...deps.clock, sleep: async () => undefined } };
    const outcomes = await persist({ ...opened.pipeline, store: { ...opened.pipeline.store, objects: full } }, given, quick);
    expect(outcomes.every(({ kind }) => kind === "released")).toBe(true);
    expect(await drain(opened.broker, "dead", "letters")).toEqual([]);
    expect(await handedOver(opened)).toEqual([]);
    await persist(opened.pipeline, given, deps);
    expect(await handedOver(opened)).toHaveLength(20);
  });

  it("releases what is stored but could not be handed over to the index", async () => {
    const opened = await open();
    const publisher = {
      ...opened.broker.publisher,
      publish: () => Promise.reject(new StoreError("broker_unavailable", "down", { retryable: true })),
    };
    const quick = { ...deps, clock: { ...deps.clock, sleep: async () => undefined } };
    const outcomes = await persist({ ...opened.pipeline, index: { publisher, topic: "index", collection: "orders" } }, messages(5), quick);
    expect(outcomes.map(({ kind }) => kind)).toEqual(Array(5).fill("released"));
    expect(await keysOf(opened.store)).toHaveLength(1);
  });

  it("dead-letters a message above the pipeline's limit with its reason, unaltered, and stores the others", async () => {
    const opened = await open();
    const large = message(1, { payload: Buffer.alloc(200_000, 1), orderingKey: "k", key: Buffer.from("key") });
    const outcomes = await persist(opened.pipeline, [message(0), large, message(2)], deps);
    expect(outcomes).toMatchObject([{ kind: "stored" }, { kind: "dead-lettered", category: "too_large" }, { kind: "stored" }]);
    const [letter] = await drain(opened.broker, "dead", "letters");
    expect(Buffer.from(letter?.payload ?? []).equals(large.payload)).toBe(true);
    expect(letter).toMatchObject({ orderingKey: "k", contentType: large.contentType });
    const attribute = (name: string) => textAttribute(letter?.attributes ?? [], name);
    expect(attribute("type")).toBe("order");
    expect(attribute("deadLetterErrorCategory")).toBe("too_large");
    expect(attribute("deadLetterErrorReason")).toMatch(/larger than the pipeline's limit of 100000 bytes/);
    expect(attribute("deadLetterSource")).toBe("orders");
    expect(attribute("persistor-pipeline")).toBe("orders");
    expect(attribute("persistor-message-id")).toBe("orders_1");
    expect(attribute("persistor-publish-time")).toBe("2023-11-14T22:13:20.001Z");
  });

  it("stores a dead letter that its broker cannot carry, and publishes a pointer", async () => {
    const opened = await open();
    const publisher = { ...opened.broker.publisher, limits: { ...opened.broker.publisher.limits, maxMessageBytes: 50_000 } };
    const pipeline = { ...opened.pipeline, deadLetter: { publisher, topic: "dead" } };
    await persist(pipeline, [message(1, { payload: Buffer.alloc(200_000, 1) })], deps);
    const [letter] = await drain(opened.broker, "dead", "letters");
    expect(letter).toMatchObject({ payloadKind: "null" });
    const location = textAttribute(letter?.attributes ?? [], "persistor-dead-letter-location") as string;
    expect(location).toMatch(/^dead-letter\/orders\//);
    expect(await keysOf(opened.store)).toEqual([location]);
  });

  it("without a dead-letter topic releases what it can never store", async () => {
    const opened = await open({ deadLetter: undefined });
    const outcomes = await persist(opened.pipeline, [message(1, { payload: Buffer.alloc(200_000) })], deps);
    expect(outcomes).toMatchObject([{ kind: "released" }]);
  });

  it("finds the one message that a store refuses for ever, and stores the rest of its batch", async () => {
    const opened = await open();
    const picky = failing(opened.store, async (key, bytes, options) => {
      const text = Buffer.concat(bytes).toString("latin1");
      if (text.includes("poison")) throw new StoreError("key_invalid", "writing an object: refused");
      return opened.store.put(key, bytes, options);
    });
    const given = messages(33, (n) => (n === 17 ? { payload: Buffer.from("poison") } : {}));
    const pipeline = { ...opened.pipeline, store: { ...opened.pipeline.store, objects: picky, codec: "null" as const } };
    const outcomes = await persist(pipeline, given, deps);
    expect(outcomes.filter(({ kind }) => kind === "stored")).toHaveLength(32);
    expect(outcomes[17]).toMatchObject({ kind: "dead-lettered", category: "refused" });
  });

  it("in the format raw stores each payload as it is, beside its metadata, and the same again on redelivery", async () => {
    const opened = await open({}, { format: "raw", extension: "bin" });
    const given = [
      message(1, { payload: Buffer.from([0, 255]), key: Buffer.alloc(0) }),
      message(2, { payloadKind: "null", payload: Buffer.alloc(0) }),
    ];
    await persist(opened.pipeline, given, deps);
    const first = await handedOver(opened);
    expect(first.map(({ codec, payload_size }) => [codec, payload_size])).toEqual([
      ["raw", 2],
      ["raw", 0],
    ]);
    const record = first.find(({ broker_msg_id }) => broker_msg_id === "1") as IndexRecord;
    expect((await opened.store.get(record.location_key)).bytes).toEqual(Buffer.from([0, 255]));
    await persist(opened.pipeline, given, deps);
    expect(await handedOver(opened)).toEqual(first);
  });

  it("persists without handing over where the pipeline has no index", async () => {
    const opened = await open({ index: undefined });
    expect(await persist(opened.pipeline, messages(3), deps)).toMatchObject([{ kind: "stored" }, { kind: "stored" }, { kind: "stored" }]);
    expect(await handedOver(opened)).toEqual([]);
  });
});
