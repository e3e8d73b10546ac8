import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { digestOf } from "../../shared/core/digest.ts";
import { type IndexRecord, indexRecordOf } from "../../shared/core/index-record.ts";
import { type Message, stringAttribute } from "../../shared/core/message.ts";
import { persist } from "../../shared/core/persist/persist.ts";
import type { Pipeline } from "../../shared/core/pipeline.ts";
import { NO_LOG } from "../../shared/core/ports/log.ts";
import { NO_METER } from "../../shared/core/ports/meter.ts";
import type { ResubmitRequest } from "../../shared/core/resubmit/request.ts";
import { systemClock } from "../../shared/runtime/clock.ts";
import { message, messages } from "../fixtures/messages.ts";
import { type Local, messagesOf, openLocal, pipelineOf, storedRecords, until } from "./support-local.ts";

const COUNT = 200;

let local: Local;
let pipeline: Pipeline;

beforeEach(async () => {
  local = await openLocal({ orders: pipelineOf("orders", { store: { name: "local", path: "{topic}/{attribute:type}" } }) });
  pipeline = local.composition.pipelines.get("orders") as Pipeline;
});
afterEach(() => local.dispose());

const hex = (one: Message) => digestOf(one).toString("hex");
const request = (ids: string[]): Partial<ResubmitRequest> => ({ selection: { kind: "ids", ids } });

/** Persists each part as a delivery of its own, the parts at once where asked, `laterMs` after now; waits until the indexer has taken it all. */
async function deliver(parts: readonly (readonly Message[])[], { change = {}, laterMs = 0, atOnce = false } = {}): Promise<void> {
  const clock = { ...systemClock, nowMs: () => Date.now() + laterMs };
  const one = async (part: readonly Message[]) => {
    const outcomes = await persist({ ...pipeline, ...change }, part, { clock, log: NO_LOG, meter: NO_METER });
    expect(outcomes.map(({ kind }) => kind)).toEqual(part.map(() => "stored"));
  };
  if (atOnce) await Promise.all(parts.map(one));
  else for (const part of parts) await one(part);
  await local.drained();
}

/** Cuts a list at random places. */
function cut<T>(list: readonly T[]): T[][] {
  const parts: T[][] = [];
  for (let from = 0; from < list.length; ) {
    const count = 1 + Math.floor(Math.random() * 90);
    parts.push(list.slice(from, from + count));
    from += count;
  }
  return parts;
}

/** What of a record must not change when its message comes again. */
const places = (records: readonly IndexRecord[]) => records.map(({ indexer_ingestion_time: _, ...record }) => record);

async function resubmittable(count: number, ids?: string[]) {
  const topic = `replay-${Math.random()}`;
  const { summary } = await local.resubmit("orders", topic, ids && request(ids));
  expect(summary).toMatchObject({ failures: 0, counts: { published: count, verified: count } });
  return messagesOf(local, topic);
}

describe("a message that is delivered again", () => {
  it("in batches with other boundaries keeps its one record and its first place; the audit counts the other copies", async () => {
    const given = messages(COUNT);
    await deliver([given.slice(0, 100), given.slice(100)]);
    const first = places(await local.records("orders"));
    expect(first).toHaveLength(COUNT);
    for (let round = 1; round <= 3; round++) await deliver(cut(given), { laterMs: round * 3_600_000 });
    expect(places(await local.records("orders"))).toEqual(first);
    const stored = await storedRecords(local, "orders");
    expect(stored.length).toBeGreaterThan(COUNT);
    expect(await local.audit("orders")).toMatchObject({
      records: stored.length,
      indexed: COUNT,
      duplicates: stored.length - COUNT,
      missing_in_index: 0,
      missing_in_store: 0,
      index_records: COUNT,
    });
    await resubmittable(COUNT);
  });

  it("at the same time, in the same and in other batches, is stored and indexed once and lost never", async () => {
    const given = messages(COUNT);
    await deliver([given.slice(0, 80), given.slice(0, 80), given, ...cut(given), ...cut(given)], { atOnce: true });
    const records = await local.records("orders");
    expect(records.map(({ broker_msg_id }) => Number(broker_msg_id)).sort((a, b) => a - b)).toEqual(given.map((_, n) => n));
    expect(await local.audit("orders")).toMatchObject({ indexed: COUNT, missing_in_index: 0, missing_in_store: 0 });
    await resubmittable(COUNT);
  });

  it("after a crash between put and hand-over has the place and the times of the stored object", async () => {
    const given = messages(COUNT);
    await deliver(cut(given), { change: { index: undefined } });
    const stored = await storedRecords(local, "orders");
    expect(await local.records("orders")).toEqual([]);
    const parts = [...Map.groupBy(stored, ({ key }) => key).values()].map((part) => part.map(({ record }) => record.message));
    await deliver(parts, { laterMs: 86_400_000 });
    expect(await storedRecords(local, "orders")).toHaveLength(COUNT);
    for (const record of await local.records("orders")) {
      const at = stored.find(({ record: { message: one } }) => one.brokerMessageId === record.broker_msg_id);
      expect([record.location_key, record.ingestion_time]).toEqual([at?.key, Math.floor((at?.record.ingestionTimeUs ?? 0) / 1000)]);
    }
    await resubmittable(COUNT);
  });

  it("after a crash between put and hand-over, in other batches, is indexed where it was stored last; the audit counts the first copy", async () => {
    const given = messages(COUNT);
    await deliver([given.slice(0, 60), given.slice(60, 130)], { change: { index: undefined } });
    await deliver([given]);
    expect(await local.records("orders")).toHaveLength(COUNT);
    expect(await local.audit("orders")).toMatchObject({ records: COUNT + 130, indexed: COUNT, duplicates: 130, missing_in_index: 0 });
    await resubmittable(COUNT);
  });

  it("is stored once and keeps its place in the format raw, whatever the batches", async () => {
    const change = { store: { ...pipeline.store, format: "raw" as const, extension: "bin" } };
    const given = messages(30);
    await deliver([given.slice(0, 10)], { change: { ...change, index: undefined } });
    await deliver(cut(given), { change });
    const first = places(await local.records("orders"));
    await deliver(cut(given), { change, laterMs: 3_600_000 });
    expect(places(await local.records("orders"))).toEqual(first);
    expect(first).toHaveLength(30);
    await resubmittable(30);
  });
});

describe("an id that comes again with other bytes", () => {
  const versions = ["first", "second", "third"].map((text) => message(7, { payload: Buffer.from(text) }));
  const [first, second, third] = versions as [Message, Message, Message];
  const variant = (one: Message) => `orders_7#${hex(one).slice(0, 16)}`;

  it("is kept under a name of its own, counted, and each is resubmitted with its own bytes", async () => {
    await deliver([[message(1), first, message(2)]]);
    await deliver([[second, message(3)], [third]]);
    expect(local.counted("persistor.index.conflicts")).toBe(2);
    const records = await local.records("orders");
    const digests = new Map(records.map(({ unique_id, digest }) => [unique_id, digest]));
    expect(digests.size).toBe(6);
    expect([digests.get("orders_7"), digests.get(variant(second)), digests.get(variant(third))]).toEqual(versions.map(hex));
    for (const [id, one] of [
      ["orders_7", first],
      [variant(second), second],
      [variant(third), third],
    ] as const) {
      const sent = await resubmittable(1, [id]);
      expect(sent.map(({ payload }) => Buffer.from(payload).toString())).toEqual([Buffer.from(one.payload).toString()]);
    }
    expect(await resubmittable(6)).toHaveLength(6);
  });

  it("adds nothing when each comes again, in whatever order and batch", async () => {
    await deliver([[first], [second]]);
    const before = places(await local.records("orders"));
    await deliver([[second], [message(8), second], [first, message(9)], [second, first]], { laterMs: 3_600_000 });
    const after = places(await local.records("orders"));
    expect(after.filter(({ broker_msg_id }) => broker_msg_id === "7")).toEqual(before);
    expect(after).toHaveLength(4);
    expect(await local.audit("orders")).toMatchObject({ records: 8, indexed: 4, duplicates: 4, missing_in_index: 0, missing_in_store: 0 });
    await resubmittable(4);
  });

  it("in one batch keeps both", async () => {
    await deliver([[first, second]]);
    expect((await local.records("orders")).map(({ unique_id }) => unique_id).sort()).toEqual(["orders_7", variant(second)].sort());
    await resubmittable(2);
  });

  it("is told apart by an attribute alone, and not by the broker's own properties or times", async () => {
    const other = { ...first, attributes: [...first.attributes, stringAttribute("more", "")] };
    const sameContent = { ...first, system: [stringAttribute("correlation-id", "another")], publishTimeUs: first.publishTimeUs + 1 };
    await deliver([[first], [other], [sameContent]]);
    expect((await local.records("orders")).map(({ unique_id }) => unique_id).sort()).toEqual(["orders_7", variant(other)].sort());
  });
});

describe("two index upserts of the same records at once", () => {
  it("make one record each and agree on one place", async () => {
    const { index } = local.composition;
    const place = (key: string) => ({ store: "local", key, codec: "zstandard", formatVersion: 1 });
    const recordsAt = (key: string) =>
      messages(COUNT).map((one, position) =>
        indexRecordOf(
          { message: one, digest: digestOf(one), ingestionTimeUs: 0, pipeline: "orders" },
          { ...place(key), location: { position, blockOffset: 0, blockLength: 1, blockPosition: position } },
        ),
      );
    const sides = ["a.avro", "b.avro", "c.avro"].map(recordsAt);
    const calls = [...sides, ...sides.map((side) => side.toReversed())];
    const results = await Promise.all(calls.map((records) => index.upsert("orders", records)));
    expect(results.reduce((sum, { inserted }) => sum + inserted, 0)).toBe(COUNT);
    expect(results.reduce((sum, { existed }) => sum + existed, 0)).toBe((calls.length - 1) * COUNT);
    expect(results.flatMap(({ conflicts }) => conflicts)).toEqual([]);
    const kept = await local.records("orders");
    expect(kept).toHaveLength(COUNT);
    await Promise.all(calls.map((records) => index.upsert("orders", records)));
    expect(await local.records("orders")).toEqual(kept);
  });
});

describe("a delivery whose settling was lost", () => {
  it("comes again, with others, and is indexed once", async () => {
    await local.stop();
    let lost = 0;
    const leaseMs = 1_500;
    await local.start({
      beforeStart: (_, broker) => broker.createSubscription("orders", "persistor", { durable: true, leaseMs }),
      wrap: {
        source: (source) => ({
          ...source,
          async acknowledge(deliveries) {
            if (deliveries[0]?.message.topic !== "orders" || deliveries[0].attempt > 2) return source.acknowledge(deliveries);
            lost++;
            return 0;
          },
        }),
      },
    });
    const outgoing = messages(COUNT).map(({ payload, attributes }) => ({
      payloadKind: "bytes" as const,
      payload,
      attributes,
      system: [],
      key: null,
      orderingKey: "",
      contentType: "",
    }));
    await local.broker.publisher.publish("orders", outgoing.slice(0, 120));
    await until("the first settling to be lost", () => lost > 0);
    await local.broker.publisher.publish("orders", outgoing.slice(120));
    await local.drained();
    const records = await local.records("orders");
    expect(records.map(({ sequence }) => Number(sequence))).toEqual([...new Set(records.map(({ sequence }) => Number(sequence)))]);
    expect(records).toHaveLength(COUNT);
    expect(await local.audit("orders")).toMatchObject({ indexed: COUNT, missing_in_index: 0, missing_in_store: 0 });
    expect(lost).toBeGreaterThan(0);
    await resubmittable(COUNT);
  });
});
