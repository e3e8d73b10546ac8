import { inspect } from "node:util";
import fc from "fast-check";
import {
  type BulkWriteOptions,
  type Collection,
  type CommandStartedEvent,
  type Db,
  type Document,
  FindCursor,
  type IndexDescription,
  MongoServerError,
} from "mongodb";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openIndex } from "../../shared/adapters/indexes/mongodb/adapter.ts";
import { openConnection } from "../../shared/adapters/indexes/mongodb/connection.ts";
import { freshDatabase, harness, sharedServer } from "../../shared/adapters/indexes/mongodb/harness.ts";
import { type MongodbIndex, openMetadataIndex } from "../../shared/adapters/indexes/mongodb/metadata-index.ts";
import { fieldOf, nameOf, recordCollection } from "../../shared/adapters/indexes/mongodb/names.ts";
import { type Filter, MATCH_ALL } from "../../shared/core/filter/ast.ts";
import { positionOf } from "../../shared/core/filter/order.ts";
import { parseFilter } from "../../shared/core/filter/parse.ts";
import type { IndexedValue } from "../../shared/core/index-record.ts";
import { NO_LOG } from "../../shared/core/ports/log.ts";
import type { FindOptions } from "../../shared/core/ports/metadata-index.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { freePort } from "../services/child.ts";
import { startMongoServer } from "../services/mongo-server.ts";
import { isOnPath } from "../services/programs.ts";
import { sampleRecord, sampleRecords } from "./index-samples.ts";

const PAGE = { filter: MATCH_ALL, order: "publish", limit: 1000 } satisfies FindOptions;
const ATTRS = "attrs.$**_1";
const NUMS = "nums.$**_1";
const BY_TIME = "publish_time_1__id_1";
const BY_BROKER = "broker_id_1_publish_time_1__id_1";

/** Any text, also with halves of characters, and many of the characters that are escaped. */
const anyName = fc.oneof(
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 6 }).map((units) => String.fromCharCode(...units)),
  fc.string({ unit: fc.constantFrom("%", ".", "$", "_", "0", "2", "E", "u", "~", "a", "\u0000", "\ud83d", "\udc9a", "é"), maxLength: 6 }),
  fc.string({ unit: fc.constantFrom("a", "%", "é", "💚", "\ud83d"), minLength: 50, maxLength: 300 }),
  fc.constantFrom("", "__proto__", "constructor", "_bsontype", "toBSON", "$ref", "_id", "length", "1", "01", "attributes"),
);

it("makes of every attribute's name another field name that every server takes for a name", () => {
  const property = fc.property(fc.uniqueArray(anyName, { maxLength: 30 }), (names) => {
    const fields = names.map(fieldOf);
    expect(new Set(fields).size).toBe(names.length);
    for (const field of fields) {
      expect(field).toMatch(/^(?!\d|__)[^.$\p{Cc}]+$/u);
      expect(field.isWellFormed()).toBe(true);
      expect(Buffer.byteLength(field)).toBeLessThanOrEqual(180);
    }
  });
  fc.assert(property, { numRuns: 500 });
});

it("reads a field name back as the name it was, unless that was too long to keep", () => {
  const property = fc.property(anyName, (name) => {
    const back = nameOf(fieldOf(name));
    if (Buffer.byteLength(name) <= 60) expect(back).toBe(name);
    else expect([name, undefined]).toContain(back);
  });
  fc.assert(property, { numRuns: 1000 });
});

it("gives collections names that no server reads anything into", () => {
  for (const name of ["system.users", ".", "a.", "a..b", "a.b", "%2E", "a%2Eb"])
    expect(recordCollection(name)).toMatch(/^records_[A-Za-z0-9_%-]+$/);
  expect(recordCollection("a.b")).not.toBe(recordCollection("a%2Eb"));
});

describeWhere(harness.missing?.(), "the index on MongoDB's protocol", () => {
  let index: MongodbIndex;
  let settings: { uri: string; database: string };
  let db: Db;
  let commands: CommandStartedEvent[];
  let close: () => Promise<void>;

  const note = (event: CommandStartedEvent) => {
    if (event.databaseName === settings.database) commands.push(event);
  };
  const sent = (name: string) => commands.filter(({ commandName }) => commandName === name).map(({ command }): Document => command);

  beforeEach(async () => {
    const { uri } = await sharedServer();
    const place = freshDatabase(`${uri}${uri.includes("?") ? "&" : "/?"}monitorCommands=true`);
    settings = place.settings;
    const connection = openConnection(settings);
    index = openMetadataIndex(openConnection(settings));
    db = await connection.db();
    commands = [];
    db.client.on("commandStarted", note);
    close = async () => {
      db.client.off("commandStarted", note);
      await index.close();
      await connection.close();
      await place.drop();
    };
  });

  afterEach(() => close());
  afterAll(() => harness.stop?.());

  it("stores a record of plain attributes as they are, under searchable names", async () => {
    const record = sampleRecord(1, {
      partition: "p",
      sequence: 7,
      attributes: [
        ["mag", "4.5"],
        ["a.b", "x"],
        ["1", "first"],
      ],
    });
    await index.upsert("orders.eu", [record]);
    const { unique_id, attributes: _, ...fields } = record;
    expect(await db.collection("records_orders%2Eeu").findOne({}, { promoteLongs: false })).toEqual({
      ...fields,
      _id: unique_id,
      publish_time: new Date(record.publish_time),
      ingestion_time: new Date(record.ingestion_time),
      indexer_ingestion_time: new Date(record.indexer_ingestion_time),
      attrs: { mag: "4.5", "a%2Eb": "x", "%31": "first" },
      nums: { mag: 4.5 },
      source_key: "p",
      sequence_rank: expect.objectContaining({ _bsontype: "Long", low: 7, high: 0 }),
    });
  });

  it("keeps the exact form beside, where the searchable one does not tell it", async () => {
    const attributes: [string, IndexedValue][] = [
      ["a", "1"],
      ["a", 2],
      ["b", null],
      ["t", true],
    ];
    await index.upsert("orders", [sampleRecord(1, { attributes })]);
    expect(await db.collection("records_orders").findOne()).toMatchObject({
      attrs: { a: ["1", "2"], b: null, t: "true" },
      nums: { a: [1, 2] },
      attributes: JSON.stringify(attributes),
    });
  });

  it("gives back any attributes and times exactly", async () => {
    const anyText = fc.oneof(anyName, fc.string({ unit: "binary", maxLength: 5 }), fc.constantFrom("1", "-0", "1e3", "\u{10FFFF}"));
    const value: fc.Arbitrary<IndexedValue> = fc.oneof(
      { weight: 4, arbitrary: anyText },
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0),
      fc.constantFrom(null, true, false, { $binary: "AAE=" }, 2 ** 53 - 1),
    );
    const time = fc.oneof(fc.integer(), fc.constantFrom(8.64e15, 8.64e15 + 1, 9.3e15, -9.3e15, -62_135_596_800_000));
    const drawn = fc.record({ attributes: fc.array(fc.tuple(anyName, value), { maxLength: 5 }), publish_time: time, ingestion_time: time });
    let collections = 0;
    const property = fc.asyncProperty(fc.array(drawn, { minLength: 1, maxLength: 30 }), async (fields) => {
      const collection = `c${collections++}`;
      const records = fields.map((some, i) => sampleRecord(i, some));
      await index.upsert(collection, records);
      const found = await index.get(
        collection,
        records.map((record) => record.unique_id),
      );
      expect(found.toSorted((a, b) => a.location_position - b.location_position)).toEqual(records);
    });
    await fc.assert(property, { numRuns: 20, endOnFailure: true });
  });

  it("sorts times past a date's reach at the ends, and walks them", async () => {
    const times = [9.3e15, -9.3e15, 0, 9.2e15];
    await index.upsert(
      "orders",
      times.map((publish_time, i) => sampleRecord(i, { publish_time })),
    );
    const ids = (await index.find("orders", PAGE)).map((record) => record.unique_id);
    expect(ids).toEqual(["orders_1", "orders_2", "orders_0", "orders_3"]);
    const after = { order: "publish", publish_time: 9.3e15, unique_id: "orders_0" } as const;
    expect((await index.find("orders", { ...PAGE, after })).map((record) => record.unique_id)).toEqual(["orders_3"]);
  });

  it("opens and closes without its server, since nothing is sent before its first use", async () => {
    const uri = `mongodb://127.0.0.1:${await freePort()}/?serverSelectionTimeoutMS=200`;
    const other = await openIndex({ uri }, { dataDir: "" });
    await other.close();
    await expect(other.find("orders", PAGE)).rejects.toMatchObject({ code: "index_unavailable" });
    await expect(openIndex({ uri, database: "not/a name" }, { dataDir: "" })).rejects.toMatchObject({ code: "settings_invalid" });
  });

  it("shares one client between all that is open on a server", async () => {
    const other = openConnection({ ...settings, database: "other" });
    expect((await other.db()).client).toBe(db.client);
    await other.close();
    await other.close();
    expect(await index.find("orders", PAGE)).toEqual([]);
  });

  it("makes a collection with all its indexes in one command, at its first upsert", async () => {
    expect(await index.find("orders", PAGE)).toEqual([]);
    expect(sent("createIndexes")).toEqual([]);
    await Promise.all(Array.from({ length: 5 }, (_, i) => index.upsert("orders", [sampleRecord(i)])));
    await index.upsert("orders", [sampleRecord(6)]);
    expect(sent("createIndexes")).toHaveLength(1);
    const keys = (await db.collection("records_orders").listIndexes().toArray()).map(({ key }) => key);
    expect(keys).toEqual([
      { _id: 1 },
      { "attrs.$**": 1 },
      { "nums.$**": 1 },
      { broker_id: 1, publish_time: 1, _id: 1 },
      { publish_time: 1, _id: 1 },
      { location_key: 1 },
    ]);
  });

  it("makes the index for source order at the first question for it", async () => {
    await index.upsert("orders", sampleRecords(3));
    commands = [];
    for (let i = 0; i < 2; i++) await index.find("orders", { ...PAGE, order: "source" });
    expect(sent("createIndexes")).toHaveLength(1);
    const made = (await db.collection("records_orders").listIndexes().toArray()).at(-1);
    expect(Object.entries(made?.key)).toEqual([
      ["source_key", 1],
      ["sequence_rank", 1],
      ["publish_time", 1],
      ["_id", 1],
    ]);
    expect(sent("find").map(({ hint }) => hint)).toEqual(Array(2).fill("source_key_1_sequence_rank_1_publish_time_1__id_1"));
    await index.find("nothing", { ...PAGE, order: "source" });
    expect(sent("createIndexes")).toHaveLength(1);
  });

  /** One broker's 1,500 records: `kind` is the same for all, `number` another for each, `rare` is there for ten. */
  async function manyRecords(): Promise<void> {
    const records = sampleRecords(1500, (i) => ({
      attributes: [["number", String(i)], ["kind", "all"], ...(i % 150 === 0 ? ([["rare", "yes"]] as const) : [])],
    }));
    await index.upsert("orders", records);
    commands = [];
  }

  const hintOf = async (filter: Filter, options: Partial<FindOptions> = {}): Promise<unknown> => {
    await index.find("orders", { ...PAGE, ...options, filter });
    return sent("find").at(-1)?.["hint"];
  };

  it("looks few hits up by the attribute's index, and walks the order where there are many", async () => {
    await manyRecords();
    const of = (conditions: object) => parseFilter({ all: [conditions] });
    expect(await hintOf(of({ "additional_metadata.rare": "yes" }))).toBe(ATTRS);
    expect(
      await hintOf(of({ "additional_metadata.rare": "yes", broker_id: "orders", publish_time: { $gte: "1970-01-01T00:00:00Z" } })),
    ).toBe(ATTRS);
    expect(await hintOf(of({ "additional_metadata.number": { $gte: 10, $lt: 20 } }))).toBe(NUMS);
    expect(await hintOf(of({ "additional_metadata.kind": "all" }))).toBe(BY_TIME);
    expect(await hintOf(of({ "additional_metadata.kind": "all", broker_id: "orders" }))).toBe(BY_BROKER);
    expect(await hintOf(of({ "additional_metadata.kind": "all", "additional_metadata.number": 3 }))).toBe(NUMS);
    expect(await hintOf(of({ unique_id: { $in: ["orders_1", "orders_2"] } }))).toBe("_id_");
    expect(await hintOf(of({ location_key: "raw/orders/1.avro" }))).toBe("location_key_1");
    expect(await hintOf(of({ "additional_metadata.rare": { $ne: "yes" } }))).toBe(BY_TIME);
    expect(await hintOf(MATCH_ALL)).toBe(BY_TIME);
  });

  it("looks a short range of time up where the order asked is another", async () => {
    await manyRecords();
    const filter = parseFilter({ all: [{ publish_time: { $lt: "1970-01-01T00:16:41Z" } }] });
    expect(await hintOf(filter, { order: "source" })).toBe(BY_TIME);
    expect(await hintOf(MATCH_ALL, { order: "source" })).toBe("source_key_1_sequence_rank_1_publish_time_1__id_1");
  });

  it("counts no more hits than it needs to know, and not again for the next page", async () => {
    await manyRecords();
    const filter = parseFilter({ all: [{ "additional_metadata.kind": "all" }] });
    const page = await index.find("orders", { ...PAGE, filter, limit: 10 });
    await index.find("orders", { ...PAGE, filter, limit: 10, offset: page.length });
    const counts = sent("aggregate");
    expect(counts.map(({ hint }) => hint)).toEqual([ATTRS]);
    expect(counts[0]?.["pipeline"]).toContainEqual({ $limit: 1001 });
  });

  describe("walking places", () => {
    const places = (limit: number, after?: FindOptions["after"]) =>
      index.find("orders", { ...PAGE, limit, after, withoutAttributes: true });
    const idsOf = (records: readonly { unique_id: string }[]) => records.map((record) => record.unique_id);
    const expected = idsOf(sampleRecords(3_000));
    beforeEach(async () => {
      await index.upsert("orders", sampleRecords(3_000));
      commands = [];
    });

    it("asks the server once for all pages, also where a page begins within the one before", async () => {
      const seen: string[] = [];
      for (let after: FindOptions["after"]; ; ) {
        const page = await places(700, after);
        // As a planner that ends its windows where objects end.
        const used = page.length < 700 ? page : page.slice(0, 600);
        seen.push(...idsOf(used));
        if (page.length < 700) break;
        after = positionOf(used.at(-1) as (typeof used)[number], "publish");
      }
      expect(seen).toEqual(expected);
      expect(sent("find")).toHaveLength(1);
    });

    it("asks anew where the page before is not the one that was given last, and where the server dropped the cursor", async () => {
      const [first, second] = [await places(500), await places(500)];
      expect(idsOf(second)).toEqual(idsOf(first));
      const elsewhere = positionOf(sampleRecord(1_234), "publish");
      expect(idsOf(await places(500, elsewhere))).toEqual(expected.slice(1_235, 1_735));
      expect(sent("find")).toHaveLength(3);
      vi.spyOn(FindCursor.prototype, "hasNext").mockRejectedValueOnce(new MongoServerError({ message: "cursor not found", code: 43 }));
      const goesOn = positionOf(sampleRecord(1_734), "publish");
      expect(idsOf(await places(2_000, goesOn))).toEqual(expected.slice(1_735));
      expect(sent("find")).toHaveLength(4);
    });

    it("are kept apart by filter, and several at once go on each for itself", async () => {
      const filters = [parseFilter({ all: [{ broker_id: "orders" }] }), MATCH_ALL];
      const walk = async (filter: Filter) => {
        const seen: string[] = [];
        for (let after: FindOptions["after"]; ; ) {
          const page = await index.find("orders", { filter, order: "publish", limit: 500, after, withoutAttributes: true });
          seen.push(...idsOf(page));
          const last = page.at(-1);
          if (!last || page.length < 500) return seen;
          after = positionOf(last, "publish");
        }
      };
      const walks = await Promise.all([...filters, ...filters].map(walk));
      for (const seen of walks) expect(seen).toEqual(expected);
    });
  });

  it("gathers the ids of an any whose branches need several indexes", async () => {
    await manyRecords();
    const branches = parseFilter({ any: [{ "additional_metadata.rare": "yes" }, { "additional_metadata.number": { $lt: 5 } }] });
    const found = await index.find("orders", { ...PAGE, filter: branches });
    expect(found).toHaveLength(14);
    expect(sent("find").map(({ hint }) => hint)).toEqual([ATTRS, NUMS, "_id_"]);
    commands = [];
    const values = parseFilter({ filters: [{ "additional_metadata.number": "1" }, { "additional_metadata.number": "2" }] });
    expect(await hintOf(values)).toBe(ATTRS);
    const wide = parseFilter({ any: [{ "additional_metadata.rare": "yes" }, { "additional_metadata.kind": "all" }] });
    expect(await hintOf(wide)).toBe(BY_TIME);
  });

  it("makes the other indexes where the server knows no wildcard", async () => {
    const warnings: string[] = [];
    const log = { ...NO_LOG, warn: (event: string) => void warnings.push(event) };
    const other = openMetadataIndex({ ...openConnection(settings), db: async () => withoutWildcards(db) }, log);
    await other.upsert("orders", sampleRecords(5));
    const filter = parseFilter({ all: [{ "additional_metadata.number": "3" }] });
    expect(await other.find("orders", { ...PAGE, filter })).toEqual([sampleRecord(3)]);
    expect(sent("find").at(-1)?.["hint"]).toBe(BY_TIME);
    expect(other.findings.attributeIndexes).toBe("no");
    expect(other.advice?.()).toMatch(/no wildcard indexes/);
    expect(warnings).toEqual(["the index is slow"]);
    await other.close();
  });

  it("goes on where an index that it knows of is gone", async () => {
    await index.upsert("orders", sampleRecords(5));
    const filter = parseFilter({ all: [{ "additional_metadata.number": "3" }] });
    await index.find("orders", { ...PAGE, filter });
    await db.collection("records_orders").dropIndexes();
    const other = openMetadataIndex(openConnection(settings));
    expect(await index.find("orders", { ...PAGE, filter })).toEqual([sampleRecord(3)]);
    expect(await other.find("orders", { ...PAGE, filter })).toEqual([sampleRecord(3)]);
    expect(sent("find").at(-1)).not.toHaveProperty("hint");
    expect(other.findings.attributeIndexes).toBe("no");
    await other.close();
  });

  it("tells what it found out about the server", async () => {
    expect(index.findings).toEqual({ orderedPages: "unknown", attributeIndexes: "unknown" });
    await index.upsert("orders", [sampleRecord(1)]);
    await index.find("orders", PAGE);
    const explains = (await sharedServer()).kind !== "mongo-java-server";
    expect(index.findings).toEqual({ orderedPages: explains ? "yes" : "unknown", attributeIndexes: "yes" });
  });

  it("keeps both of two messages with one id, and counts exactly, however many write at once", async () => {
    const ids = Array.from({ length: 300 }, (_, i) => i);
    const writers = Array.from({ length: 8 }, (_, writer) => {
      const digest = (writer % 2 ? "b" : "a").repeat(64);
      return index.upsert(
        "orders",
        ids.map((id) => sampleRecord(id, { digest })),
      );
    });
    const results = await Promise.all(writers);
    expect(results.reduce((sum, { inserted }) => sum + inserted, 0)).toBe(300);
    expect(results.reduce((sum, { existed }) => sum + existed, 0)).toBe(300 * 3);
    expect(results.reduce((sum, { conflicts }) => sum + conflicts.length, 0)).toBe(300 * 4);
    expect((await index.summarize("orders", MATCH_ALL))[0]?.count).toBe(600);
  });

  it("counts what another writer inserted in the same moment as existing, or as a conflict", async () => {
    await index.upsert("orders", sampleRecords(5));
    const other = openMetadataIndex({ ...openConnection(settings), db: async () => losingEveryRace(db) });
    const changed = sampleRecord(2, { digest: "f".repeat(64) });
    expect(await other.upsert("orders", [sampleRecord(1), changed, sampleRecord(3)])).toEqual({
      inserted: 0,
      existed: 2,
      conflicts: ["orders_2"],
    });
    await other.close();
  });

  it("writes at most 1,000 records a command", async () => {
    await index.upsert("orders", sampleRecords(2500));
    const sizes = sent("update").map(({ updates }): number => updates.length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1000);
    expect(sizes.reduce((sum, size) => sum + size)).toBe(2500);
  });

  it("says that a record too large for the database stays so", async () => {
    const attributes = Array.from({ length: 18_000 }, (_, i): [string, string] => [`name${i}`, "x".repeat(1024)]);
    await expect(index.upsert("orders", [sampleRecord(1, { attributes })])).rejects.toMatchObject({
      code: "index_unavailable",
      retryable: false,
      message: expect.stringMatching(/^upserting 1 records into orders: .*send fewer or smaller attributes$/),
    });
  });

  it("throws a retryable error while its server is down, and goes on when it is back", async () => {
    const port = await freePort();
    const first = await startMongoServer({ port });
    const other = openMetadataIndex(
      openConnection({ uri: `mongodb://127.0.0.1:${port}/?directConnection=true&serverSelectionTimeoutMS=1500`, database: "d" }),
    );
    const unavailable = { code: "index_unavailable", retryable: true };
    try {
      await other.upsert("orders", sampleRecords(10));
      const writing = Array.from({ length: 20 }, (_, i) =>
        other.upsert(
          "orders",
          sampleRecords(500, (n) => ({ unique_id: `${i}_${n}` })),
        ),
      );
      await Promise.race(writing);
      await first.stop();
      for (const result of await Promise.allSettled(writing))
        if (result.status === "rejected") expect(result.reason).toMatchObject(unavailable);
      await expect(other.upsert("orders", [sampleRecord(11)])).rejects.toMatchObject({
        ...unavailable,
        message: expect.stringMatching(/^upserting 1 records into orders: .*check that the server runs/),
      });
      await expect(other.find("orders", PAGE)).rejects.toMatchObject(unavailable);
      await expect(other.summarize("other", MATCH_ALL)).rejects.toMatchObject(unavailable);
      const second = await startMongoServer({ port });
      try {
        expect((await other.upsert("later", [sampleRecord(1)])).inserted).toBe(1);
        expect(await other.find("later", PAGE)).toEqual([sampleRecord(1)]);
      } finally {
        await second.stop();
      }
    } finally {
      await first.stop();
      await other.close();
    }
  });

  it("says nothing of the password in any error", async () => {
    const port = await freePort();
    const secret = "s3cr3t-word";
    const unreachable = openMetadataIndex(
      openConnection({ uri: `mongodb://user:${secret}@127.0.0.1:${port}/?serverSelectionTimeoutMS=200`, database: "d" }),
    );
    const refusing = openMetadataIndex(openConnection({ uri: withUser(settings.uri, `user:${secret}`), database: "d" }));
    for (const asked of [unreachable, refusing]) {
      const error = await asked.find("orders", PAGE).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "index_unavailable", retryable: true });
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(secret);
      await asked.close();
    }
    for (const uri of [
      `mongodb://us/er:${secret}@host`,
      `mongodb://user:a@${secret}@host:1:2/`,
      `mongodb://u:${secret}@host/?unknownOption=1`,
    ]) {
      let error: unknown;
      try {
        openConnection({ uri, database: "d" });
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toMatchObject({ code: "settings_invalid" });
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(secret);
    }
  });

  const plans = process.env.MONGODB_URI || isOnPath("mongod") ? it : it.skip;
  plans("takes pages from an index, in order and unsorted (needs MONGODB_URI or mongod: mongo-java-server explains nothing)", async () => {
    await manyRecords();
    const filter = parseFilter({ all: [{ "additional_metadata.rare": "yes" }] });
    const stages = async (asked: Partial<FindOptions>): Promise<string> => {
      await index.find("orders", { ...PAGE, ...asked });
      const { filter: query, sort, hint, limit } = sent("find").at(-1) as Document;
      const plan = await db.collection("records_orders").find(query).sort(sort).hint(hint).limit(limit).explain("queryPlanner");
      return JSON.stringify(plan["queryPlanner"].winningPlan);
    };
    for (const order of ["publish", "source"] as const) {
      expect(await stages({ order })).toContain('"IXSCAN"');
      expect(await stages({ order })).not.toMatch(/"SORT"|"COLLSCAN"/);
    }
    expect(await stages({ filter })).toContain(`"indexName":"${ATTRS}"`);
  });
});

/** A database whose collections have one method of another making, for what no server here can be brought to do. */
function withMethod<K extends keyof Collection>(db: Db, name: K, method: (collection: Collection) => unknown): Db {
  return overridden(db, "collection", (collection: string) => {
    const whole = db.collection(collection);
    return overridden(whole, name, method(whole));
  });
}

/** As of a server that refuses wildcard indexes, such as Firestore. */
function withoutWildcards(db: Db): Db {
  return withMethod(db, "createIndexes", (collection) => async (indexes: IndexDescription[]) => {
    if (JSON.stringify(indexes).includes("$**")) throw new MongoServerError({ message: "wildcard indexes are not supported", code: 67 });
    return collection.createIndexes(indexes);
  });
}

/** As where another writer inserts every record between this one's look for it and its insert: the server then answers with real 11000 errors. */
function losingEveryRace(db: Db): Db {
  return withMethod(
    db,
    "bulkWrite",
    (collection) => (writes: { updateOne: { filter: Document; update: Document } }[], options: BulkWriteOptions) => {
      const inserts = writes.map(({ updateOne: { filter, update } }) => ({
        insertOne: { document: { ...filter, ...update["$setOnInsert"] } },
      }));
      return collection.bulkWrite(inserts, options);
    },
  );
}

function overridden<T extends object>(target: T, name: keyof T, method: unknown): T {
  return new Proxy(target, {
    get(_, key) {
      if (key === name) return method;
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function withUser(uri: string, user: string): string {
  return uri.replace("://", `://${user}@`);
}
