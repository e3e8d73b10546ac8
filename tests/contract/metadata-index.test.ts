import { afterEach, beforeEach, expect, it } from "vitest";
import { indexes } from "../../shared/adapters/registry.ts";
import { type Filter, MATCH_ALL } from "../../shared/core/filter/ast.ts";
import { compareRecords, positionOf } from "../../shared/core/filter/order.ts";
import { parseFilter } from "../../shared/core/filter/parse.ts";
import type { IndexRecord } from "../../shared/core/index-record.ts";
import { type FindOptions, type IndexPosition, type MetadataIndex, PLACE_FIELDS } from "../../shared/core/ports/metadata-index.ts";
import { sampleRecord, sampleRecords } from "../adapters/index-samples.ts";
import { describeAdapters, type IndexFixture } from "./support-ports.ts";

const PAGE = { filter: MATCH_ALL, order: "publish", limit: 1000 } satisfies FindOptions;

const idsOf = (records: readonly IndexRecord[]) => records.map((record) => record.unique_id);

await describeAdapters("metadata index", "indexes", Object.keys(indexes), (harness) => {
  let index: MetadataIndex;
  let gaps: IndexFixture["gaps"];
  let reopen: () => Promise<void>;
  let remove: () => Promise<void>;

  beforeEach(async () => {
    const fixture = await harness.fresh();
    index = await fixture.openIndex();
    gaps = fixture.gaps;
    remove = fixture.dispose;
    reopen = async () => {
      await index.close();
      index = await fixture.openIndex();
    };
  });

  afterEach(async () => {
    await index.close();
    await remove();
  });

  async function walk(filter: Filter, order: IndexPosition["order"], limit: number): Promise<IndexRecord[]> {
    const all: IndexRecord[] = [];
    for (let after: IndexPosition | undefined; ; ) {
      const page = await index.find("orders", { filter, order, after, limit });
      all.push(...page);
      const last = page.at(-1);
      if (!last || page.length < limit) return all;
      after = positionOf(last, order);
    }
  }

  it("gives back every field as it was stored, also after it is opened again", async () => {
    const full = sampleRecord(1, {
      ordering_key: "key",
      business_source_key: "source",
      business_object_key: "object",
      index_source_key: "pipeline",
      partition: "3",
      sequence: "9223372036854775807",
      content_type: "application/json",
      truncated_attributes: ["long"],
      attributes: [
        ["a", "x"],
        ["__proto__", "p"],
        ["", "empty name"],
        ["a", 4.5],
        ["n", null],
        ["b", { $binary: "AAE=" }],
        ["t", true],
        ["z\u0000z", "\u0000é💚"],
      ],
    });
    const bare = sampleRecord(2, { attributes: [], sequence: 7 });
    await index.upsert("orders", [full, bare]);
    await reopen();
    expect(await index.find("orders", PAGE)).toEqual([full, bare]);
  });

  it("counts a repeated record as existing and keeps its first location", async () => {
    const record = sampleRecord(1);
    expect(await index.upsert("orders", [record])).toEqual({ inserted: 1, existed: 0, conflicts: [] });
    const again = sampleRecord(1, { location_key: "raw/elsewhere.avro" });
    expect(await index.upsert("orders", [again, again])).toEqual({ inserted: 0, existed: 2, conflicts: [] });
    expect(await index.find("orders", PAGE)).toEqual([record]);
  });

  it("takes a record once that comes twice in one call", async () => {
    expect(await index.upsert("orders", [sampleRecord(1), sampleRecord(1)])).toEqual({ inserted: 1, existed: 1, conflicts: [] });
  });

  it("keeps another message of the same id under a name of its own", async () => {
    const other = sampleRecord(1, { digest: `${"f".repeat(16)}${"0".repeat(48)}` });
    await index.upsert("orders", [sampleRecord(1)]);
    expect(await index.upsert("orders", [other])).toEqual({ inserted: 0, existed: 0, conflicts: ["orders_1"] });
    expect(await index.upsert("orders", [other])).toEqual({ inserted: 0, existed: 0, conflicts: ["orders_1"] });
    expect(await index.find("orders", PAGE)).toEqual([sampleRecord(1), { ...other, unique_id: `orders_1#${"f".repeat(16)}` }]);
  });

  it("keeps collections apart", async () => {
    await index.upsert("orders", [sampleRecord(1)]);
    await index.upsert("other", [sampleRecord(1, { payload_size: 99 }), sampleRecord(2)]);
    const filter = parseFilter({ all: [{ "additional_metadata.number": "1" }] });
    expect(await index.find("orders", { ...PAGE, filter })).toEqual([sampleRecord(1)]);
    expect((await index.find("other", { ...PAGE, filter })).map((record) => record.payload_size)).toEqual([99]);
    expect((await index.summarize("other", MATCH_ALL))[0]?.count).toBe(2);
  });

  it("finds nothing in a collection that never was", async () => {
    expect(await index.find("nothing", PAGE)).toEqual([]);
    expect(await index.get("nothing", ["orders_1"])).toEqual([]);
    expect(await index.summarize("nothing", MATCH_ALL)).toEqual([{ count: 0, bytes: 0, objects: 0 }]);
    expect(await index.summarize("nothing", MATCH_ALL, 1000)).toEqual([]);
  });

  it("gets the records of those ids that exist, each once", async () => {
    await index.upsert("orders", sampleRecords(5));
    const found = await index.get("orders", ["orders_3", "missing", "orders_1", "orders_3", ""]);
    expect(idsOf(found).sort()).toEqual(["orders_1", "orders_3"]);
  });

  it("gets 10,000 records by id and refuses more", async () => {
    await index.upsert("orders", sampleRecords(10_000));
    const ids = sampleRecords(10_000).map((record) => record.unique_id);
    expect(await index.get("orders", ids)).toHaveLength(10_000);
    await expect(index.get("orders", [...ids, "one more"])).rejects.toMatchObject({ code: "invalid_input" });
  });

  it("sorts by publish time and unique id, by their UTF-8 bytes", async () => {
    const last = gaps?.["order past U+FFFF"] ? ["\uffff"] : ["\uffff", "\u{10000}"];
    const ids = ["b", "a", ...last.toReversed(), "Z", ""].map((unique_id) => sampleRecord(1, { unique_id }));
    await index.upsert("orders", [sampleRecord(2, { publish_time: 1 }), ...ids]);
    expect(idsOf(await index.find("orders", PAGE))).toEqual(["orders_2", "", "Z", "a", "b", ...last]);
  });

  it("sorts in source order by key, sequence as a number, publish time and unique id", async () => {
    const records = [
      sampleRecord(1, { ordering_key: "b", sequence: 10 }),
      sampleRecord(2, { ordering_key: "b", sequence: 9 }),
      sampleRecord(3, { partition: "a", sequence: "9223372036854775807" }),
      sampleRecord(4, { partition: "a", ordering_key: "c", sequence: 1 }),
      sampleRecord(5, { partition: "a" }),
      sampleRecord(6, { publish_time: 5 }),
      sampleRecord(7, { publish_time: 4 }),
    ];
    await index.upsert("orders", records);
    const expected = ["orders_7", "orders_6", "orders_5", "orders_3", "orders_2", "orders_1", "orders_4"];
    expect(idsOf(await index.find("orders", { ...PAGE, order: "source" }))).toEqual(expected);
    expect(idsOf(await walk(MATCH_ALL, "source", 2))).toEqual(expected);
  });

  it.each(["publish", "source"] as const)("walks pages in %s order that hold every record once, also with equal times", async (order) => {
    const records = sampleRecords(500, (number) => ({
      publish_time: Math.floor(number / 100),
      partition: String(number % 3),
      sequence: number % 7,
    }));
    await index.upsert("orders", records);
    const expected = records.toSorted((a, b) => compareRecords(a, b, order));
    expect(idsOf(await walk(MATCH_ALL, order, 7))).toEqual(idsOf(expected));
    const filter = parseFilter({ all: [{ partition: { $ne: "1" } }] });
    expect(idsOf(await walk(filter, order, 13))).toEqual(idsOf(expected.filter((record) => record.partition !== "1")));
  });

  it("walks every record that was there at the start once while others are written", async () => {
    const before = sampleRecords(1000, () => ({ publish_time: 5 }));
    await index.upsert("orders", before);
    let isWalking = true;
    const writing = (async () => {
      // Not for ever: an emulator that sorts all records for each page gets slower with each of them.
      for (let i = 0; isWalking && i < 40; i++)
        await index.upsert(
          "orders",
          sampleRecords(50, (n) => ({ unique_id: `late_${i}_${n}`, publish_time: 4 + (n % 3) })),
        );
    })();
    const seen = idsOf(await walk(MATCH_ALL, "publish", 11));
    isWalking = false;
    await writing;
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.filter((id) => id.startsWith("orders_")).sort()).toEqual(idsOf(before).sort());
  });

  it("finds more than it reads in one go, behind an offset too", async () => {
    const records = sampleRecords(10_000);
    await index.upsert("orders", records);
    expect(idsOf(await index.find("orders", { ...PAGE, limit: 20_000 }))).toEqual(idsOf(records));
    expect(idsOf(await index.find("orders", { ...PAGE, limit: 9000, offset: 500 }))).toEqual(idsOf(records.slice(500, 9500)));
    expect(
      idsOf(await index.find("orders", { ...PAGE, order: "source", limit: 9000, after: positionOf(sampleRecord(4), "source") })),
    ).toEqual(idsOf(records.slice(5, 9005)));
  });

  it("gives places alone where asked: no attributes, and everything about place, order, size and digest", async () => {
    const records = sampleRecords(1_500, (number) => ({ ordering_key: `key ${number % 3}`, partition: "7", sequence: number }));
    await index.upsert("orders", records);
    for (const order of ["publish", "source"] as const) {
      const wanted = records.toSorted((a, b) => compareRecords(a, b, order));
      const found = await index.find("orders", { ...PAGE, order, limit: 2_000, withoutAttributes: true });
      const placesOf = (list: readonly IndexRecord[]) => list.map((record) => PLACE_FIELDS.map((field) => record[field]));
      expect(placesOf(found)).toEqual(placesOf(wanted));
      expect(found.every(({ attributes }) => attributes.length === 0)).toBe(true);
    }
  });

  it("passes over as many records as the offset says", async () => {
    await index.upsert("orders", sampleRecords(20));
    const page = await index.find("orders", { ...PAGE, offset: 5, limit: 3 });
    expect(idsOf(page)).toEqual(["orders_5", "orders_6", "orders_7"]);
    const after = positionOf(sampleRecord(5), "publish");
    expect(idsOf(await index.find("orders", { ...PAGE, after, offset: 1, limit: 2 }))).toEqual(["orders_7", "orders_8"]);
    expect(await index.find("orders", { ...PAGE, offset: 20 })).toEqual([]);
  });

  it("refuses a position of another order", async () => {
    await expect(index.find("orders", { ...PAGE, order: "source", after: positionOf(sampleRecord(1), "publish") })).rejects.toMatchObject({
      code: "invalid_input",
    });
  });

  it("sums up what matches", async () => {
    await index.upsert("orders", sampleRecords(300));
    expect(await index.summarize("orders", MATCH_ALL)).toEqual([
      { count: 300, bytes: 3000, first_publish_time: 1_000_000, last_publish_time: 1_000_299, objects: 3 },
    ]);
    const filter = parseFilter({ all: [{ "additional_metadata.number": { $gte: 90, $lt: 110 } }] });
    expect(await index.summarize("orders", filter)).toEqual([
      { count: 20, bytes: 200, first_publish_time: 1_000_090, last_publish_time: 1_000_109, objects: 2 },
    ]);
    expect(await index.summarize("orders", { op: "any", of: [] })).toEqual([{ count: 0, bytes: 0, objects: 0 }]);
  });

  it("sums up by time bucket and broker id, also before 1970", async () => {
    const records = [
      sampleRecord(1, { publish_time: -1 }),
      sampleRecord(2, { publish_time: -1000 }),
      sampleRecord(3, { publish_time: 0, broker_id: "b" }),
      sampleRecord(4, { publish_time: 999, broker_id: "a" }),
      sampleRecord(5, { publish_time: 1000, broker_id: "a" }),
    ];
    await index.upsert("orders", records);
    expect(await index.summarize("orders", MATCH_ALL, 1000)).toEqual([
      { start: -1000, broker_id: "orders", count: 2, bytes: 20, first_publish_time: -1000, last_publish_time: -1 },
      { start: 0, broker_id: "a", count: 1, bytes: 10, first_publish_time: 999, last_publish_time: 999 },
      { start: 0, broker_id: "b", count: 1, bytes: 10, first_publish_time: 0, last_publish_time: 0 },
      { start: 1000, broker_id: "a", count: 1, bytes: 10, first_publish_time: 1000, last_publish_time: 1000 },
    ]);
  });

  it("looks for 10,000 values of a list and through 1,000 comparisons", async () => {
    await index.upsert("orders", sampleRecords(2000));
    const values = Array.from({ length: 10_000 }, (_, i) => `orders_${i * 2}`);
    const even = await index.find("orders", { ...PAGE, filter: parseFilter({ all: [{ unique_id: { $in: values } }] }), limit: 5000 });
    expect(even).toHaveLength(1000);
    const numbers = values.map((_, i) => i * 2);
    const byNumber = parseFilter({ all: [{ "additional_metadata.number": { $in: numbers } }, { unique_id: { $nin: values.slice(5) } }] });
    expect(idsOf(await index.find("orders", { ...PAGE, filter: byNumber }))).toEqual([0, 2, 4, 6, 8].map((n) => `orders_${n}`));
    for (const group of ["all", "any"]) {
      const filter = parseFilter({ [group]: Array.from({ length: 1000 }, (_, i) => ({ "additional_metadata.number": i })) });
      expect(await index.find("orders", { ...PAGE, filter, limit: 2000 })).toHaveLength(group === "any" ? 1000 : 0);
    }
  });

  it("keeps calls made at once apart", async () => {
    const calls = Array.from({ length: 20 }, (_, i) =>
      index.upsert(
        i % 2 ? "orders" : "other",
        sampleRecords(100, (n) => ({ unique_id: `${i >> 2}_${n}` })),
      ),
    );
    const results = await Promise.all(calls);
    expect(results.reduce((sum, result) => sum + result.inserted, 0)).toBe(1000);
    expect(results.reduce((sum, result) => sum + result.existed, 0)).toBe(1000);
    expect(await index.upsert("orders", [])).toEqual({ inserted: 0, existed: 0, conflicts: [] });
  });
});
