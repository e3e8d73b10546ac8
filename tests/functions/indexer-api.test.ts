import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { IndexError } from "../../shared/core/errors.ts";
import { fitsGlob } from "../../shared/runtime/auth/glob.ts";
import { type Answer, type Ask, type IndexerHost, indexRecord, openIndexer, START_MS } from "./support-app.ts";

const COUNT = 250;
const NOW_MS = START_MS + 1_000_000;
const clock = { nowMs: () => NOW_MS, sleep: async () => undefined };
const iso = (ms: number) => new Date(ms).toISOString();

let host: IndexerHost;
let ask: Ask;

const everything = { filters: [{}] };
const idsOf = ({ body }: Answer): string[] => body.messages.map((message: { unique_id: string }) => message.unique_id);
const pathsOf = ({ body }: Answer): string[] => (body.errors ?? []).map((error: { path: string }) => error.path);

/** All pages of a listing, by its cursors. */
async function allPages(page: (cursor: string | null) => Promise<Answer>): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | null = null;
  do {
    const answer = await page(cursor);
    expect(answer.status).toBe(200);
    ids.push(...idsOf(answer));
    cursor = answer.body.cursor;
  } while (cursor !== null);
  return ids;
}

beforeAll(async () => {
  host = await openIndexer({
    clock,
    collections: [
      { name: "orders", pipelines: ["orders", "returns"] },
      { name: "flights", pipelines: ["flights"] },
    ],
  });
  ask = host.ask;
  await host.index.upsert(
    "orders",
    Array.from({ length: COUNT }, (_, i) => indexRecord(i)),
  );
  await host.index.upsert("orders", [
    indexRecord(1, {
      broker_id: "special/ü",
      unique_id: "special/ü_1",
      ordering_key: "k",
      sequence: "9223372036854775807",
      content_type: "text/plain",
      attributes: [
        ["__proto__", "polluted"],
        ["tag", "a"],
        ["filters", true],
        ["tag", "b"],
        ["none", null],
        ["bytes", { $binary: "AAE=" }],
        ["tag", "c"],
      ],
      truncated_attributes: ["tag"],
    }),
    ...[5, 5, 5].map((second, i) => indexRecord(900 + i, { broker_id: "same", publish_time: START_MS + second })),
    indexRecord(950, { broker_id: "late", publish_time: NOW_MS }),
  ]);
});

afterAll(() => host.close());

describe("GET /exact", () => {
  it("answers the record with exactly the documented fields", async () => {
    const { status, body } = await ask("GET", "/indexer/exact/orders/orders_7");
    expect(status).toBe(200);
    expect(body).toEqual({
      unique_id: "orders_7",
      broker_id: "orders",
      broker_msg_id: "7",
      store: "local",
      location_key: "raw/0.avro",
      location_position: 7,
      payload_size: 10,
      digest: "7".padStart(64, "0"),
      publish_time: "2026-01-01T00:00:07.000Z",
      ingestion_time: "2026-01-01T00:00:07.005Z",
      indexer_ingestion_time: "2026-01-01T00:00:07.009Z",
      additional_metadata: { n: 7 },
    });
  });

  it("finds ids with slashes and other characters, and shows repeated, binary, null and `__proto__` attributes", async () => {
    const { status, body } = await ask("GET", `/indexer/exact/orders/${encodeURIComponent("special/ü_1")}`);
    expect(status).toBe(200);
    expect(body.sequence).toBe("9223372036854775807");
    expect(body.truncated_attributes).toEqual(["tag"]);
    expect(Object.hasOwn(body.additional_metadata, "__proto__")).toBe(true);
    expect(Object.entries(body.additional_metadata)).toEqual([
      ["__proto__", "polluted"],
      ["tag", { $repeated: ["a", "b", "c"] }],
      ["filters", true],
      ["none", null],
      ["bytes", { $binary: "AAE=" }],
    ]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it("answers 404 to an unknown id and to an unknown collection", async () => {
    expect((await ask("GET", "/indexer/exact/orders/orders_9999")).status).toBe(404);
    expect((await ask("GET", "/indexer/exact/nothing/orders_1")).status).toBe(404);
    expect((await ask("GET", "/indexer/exact/__proto__/orders_1")).status).toBe(404);
    expect((await ask("GET", "/indexer/exact/orders/..%2F..%2Fetc%2Fpasswd")).status).toBe(404);
  });

  it("answers 400 to a path that does not decode", async () => {
    expect((await ask("GET", "/indexer/exact/orders/%E4")).status).toBe(400);
    expect((await ask("GET", "/indexer/exact/orders/%zz")).status).toBe(400);
  });
});

describe("POST /all", () => {
  it("answers the records in the order asked, each once, and names those that are missing", async () => {
    const { body } = await ask("POST", "/indexer/all/orders", { body: { ids: ["orders_9", "x", "orders_3", "orders_9", "y"] } });
    expect(idsOf({ body } as Answer)).toEqual(["orders_9", "orders_3"]);
    expect(body.missing).toEqual(["x", "y"]);
  });

  it("takes 10,000 ids and not one more", async () => {
    const ids = Array.from({ length: 10_000 }, (_, i) => `orders_${i}`);
    const { status, body } = await ask("POST", "/indexer/all/orders", { body: { ids } });
    expect(status).toBe(200);
    expect(body.messages).toHaveLength(COUNT);
    expect(body.missing).toHaveLength(10_000 - COUNT);
    const tooMany = await ask("POST", "/indexer/all/orders", { body: { ids: [...ids, "more"] } });
    expect(tooMany.status).toBe(400);
    expect(pathsOf(tooMany)).toEqual(["ids"]);
  });

  it.each([
    [{}, "ids"],
    [{ ids: "orders_1" }, "ids"],
    [{ ids: ["a", 1] }, "ids[1]"],
    [{ ids: ["\ud800"] }, "ids[0]"],
    [{ ids: [], more: 1 }, "more"],
    [[], ""],
    [null, ""],
  ])("answers 400 to %j, naming %j", async (body, path) => {
    const answer = await ask("POST", "/indexer/all/orders", { body });
    expect(answer.status).toBe(400);
    expect(pathsOf(answer)).toEqual([path]);
  });

  it("counts `__proto__` as an unknown field", async () => {
    const answer = await ask("POST", "/indexer/all/orders", { raw: '{"ids": [], "__proto__": {"admin": true}}' });
    expect(answer.status).toBe(400);
    expect(pathsOf(answer)).toEqual(["__proto__"]);
  });
});

describe("GET /range", () => {
  const range = "/indexer/range/orders/orders";

  it("is half-open: from is in it, to is not", async () => {
    const answer = await ask("GET", `${range}?from=${iso(START_MS + 3000)}&to=${iso(START_MS + 6000)}`);
    expect(idsOf(answer)).toEqual(["orders_3", "orders_4", "orders_5"]);
    expect(answer.body).toMatchObject({ returned_count: 3, limit: 100, offset: 0, cursor: null });
    expect(answer.body).not.toHaveProperty("total_count");
  });

  it("takes the original's form of times, and offsets", async () => {
    const answer = await ask("GET", `${range}?from=2026-01-01+00:00:03&to=2026-01-01T01:00:05%2B01:00`);
    expect(idsOf(answer)).toEqual(["orders_3", "orders_4"]);
  });

  it("ends before now where no end is given", async () => {
    expect((await ask("GET", "/indexer/range/orders/late")).body.messages).toEqual([]);
    expect(idsOf(await ask("GET", `/indexer/range/orders/late?to=${iso(NOW_MS + 1)}`))).toEqual(["late_950"]);
  });

  it("gives every record once by its cursors, also where times are equal", async () => {
    const walk = (path: string, limit: number) =>
      allPages((cursor) => ask("GET", `${path}?limit=${limit}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`));
    expect(await walk(range, 33)).toEqual(Array.from({ length: COUNT }, (_, i) => `orders_${i}`));
    expect(await walk(range, 125)).toHaveLength(COUNT);
    expect(await walk("/indexer/range/orders/same", 1)).toEqual(["same_900", "same_901", "same_902"]);
  });

  it("counts all records of the range where asked", async () => {
    const { body } = await ask("GET", `${range}?limit=2&count=true&from=${iso(START_MS + 50_000)}`);
    expect(body.total_count).toBe(COUNT - 50);
    expect(body.returned_count).toBe(2);
  });

  it("passes over `offset` records", async () => {
    const { body } = await ask("GET", `${range}?limit=2&offset=248`);
    expect(body).toMatchObject({ returned_count: 2, offset: 248, cursor: null });
  });

  it.each([
    ["limit=0", "limit"],
    ["limit=1001", "limit"],
    ["limit=-1", "limit"],
    ["limit=1e2", "limit"],
    ["limit=", "limit"],
    ["limit=1&limit=2", "limit"],
    ["offset=10001", "offset"],
    ["offset=-1", "offset"],
    ["count=yes", "count"],
    ["from=yesterday", "from"],
    ["from=2026-02-30T00:00:00Z", "from"],
    ["from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to"],
    ["cursor=abc", "cursor"],
    ["cursor=", "cursor"],
    ["unknown=1", "unknown"],
    ["__proto__=1", "__proto__"],
  ])("answers 400 to ?%s, naming %s", async (query, path) => {
    const answer = await ask("GET", `${range}?${query}`);
    expect(answer.status).toBe(400);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(pathsOf(answer)).toEqual([path]);
  });

  it("refuses a cursor of another query, and one beside an offset", async () => {
    const { body } = await ask("GET", `${range}?limit=2`);
    const cursor = encodeURIComponent(body.cursor);
    const refused = [
      await ask("GET", `/indexer/range/orders/same?cursor=${cursor}`),
      await ask("GET", `${range}?from=${iso(START_MS)}&cursor=${cursor}`),
      await ask("GET", `/indexer/range/flights/orders?cursor=${cursor}`),
      await ask("GET", `${range}?offset=1&cursor=${cursor}`),
      await ask("POST", `/indexer/query/orders?cursor=${cursor}`, { body: everything }),
    ];
    for (const answer of refused) {
      expect(answer.status).toBe(400);
      expect(pathsOf(answer)).toEqual(["cursor"]);
    }
    expect((await ask("GET", `${range}?limit=7&cursor=${cursor}`)).body.returned_count).toBe(7);
  });
});

describe("paging while records come in", () => {
  it("keeps to the end that its first page was resolved to", async () => {
    let nowMs = START_MS + 10_000;
    const own = await openIndexer({ clock: { ...clock, nowMs: () => nowMs } });
    try {
      await own.index.upsert(
        "orders",
        Array.from({ length: 10 }, (_, i) => indexRecord(i)),
      );
      const ids = await allPages(async (cursor) => {
        const answer = await own.ask("GET", `/indexer/range/orders/orders?limit=3${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
        const next = 10 + Math.round((nowMs - START_MS - 10_000) / 1000);
        await own.index.upsert("orders", [indexRecord(next)]);
        nowMs += 1000;
        return answer;
      });
      expect(ids).toEqual(Array.from({ length: 10 }, (_, i) => `orders_${i}`));
    } finally {
      await own.close();
    }
  });
});

describe("POST /query", () => {
  it("finds what the filter matches, by numbers too", async () => {
    const answer = await ask("POST", "/indexer/query/orders?limit=1000", {
      body: { filters: [{ "additional_metadata.n": { $gte: 4.5, $lt: 7 } }, { "additional_metadata.tag": "b" }] },
    });
    expect(idsOf(answer).toSorted()).toEqual(["orders_5", "orders_6", "special/ü_1"]);
  });

  it("takes all, any and not, and an attribute that is called filters", async () => {
    const all = await ask("POST", "/indexer/query/orders", {
      body: { all: [{ broker_id: "orders" }, { not: { "additional_metadata.n": { $ne: 3 } } }] },
    });
    expect(idsOf(all)).toEqual(["orders_3"]);
    const named = await ask("POST", "/indexer/query/orders", { body: { any: [{ "additional_metadata.filters": true }] } });
    expect(idsOf(named)).toEqual(["special/ü_1"]);
  });

  it("takes its paging from the query string, the body, or both where they agree", async () => {
    const inQuery = await ask("POST", "/indexer/query/orders?limit=3&count=true", { body: everything });
    const inBody = await ask("POST", "/indexer/query/orders", { body: { ...everything, limit: 3, count: true } });
    expect(inBody.body).toEqual(inQuery.body);
    expect(inBody.body).toMatchObject({ returned_count: 3, limit: 3, total_count: COUNT + 5 });
    const inBoth = await ask("POST", "/indexer/query/orders?limit=3&count=true", { body: { ...everything, limit: 3 } });
    expect(inBoth.body).toEqual(inQuery.body);
    const differing = await ask("POST", "/indexer/query/orders?limit=4", { body: { ...everything, limit: 3 } });
    expect(differing.status).toBe(400);
    expect(pathsOf(differing)).toEqual(["limit"]);
  });

  it("gives every record once by its cursors", async () => {
    const ids = await allPages((cursor) =>
      ask("POST", "/indexer/query/orders", { body: { ...everything, limit: 17, cursor: cursor ?? undefined } }),
    );
    expect(ids).toHaveLength(COUNT + 5);
    expect(new Set(ids).size).toBe(COUNT + 5);
  });

  it("takes its body from the header, but not from both places", async () => {
    const headers = { "x-persistor-request": '{"filters": [{"broker_id": "special/\\u00fc"}]}' };
    expect(idsOf(await ask("POST", "/indexer/query/orders", { headers }))).toEqual(["special/ü_1"]);
    const both = await ask("POST", "/indexer/query/orders", { headers, body: everything });
    expect(both.status).toBe(400);
    const long = { "x-persistor-request": JSON.stringify({ filters: [{ broker_id: "x".repeat(8200) }] }) };
    expect((await ask("POST", "/indexer/query/orders", { headers: long })).status).toBe(431);
  });

  it.each([
    [{}, [""]],
    [{ filters: [] }, ["filters"]],
    [{ filters: [{ nothing: 1 }] }, ["filters[0].nothing"]],
    [{ filters: [{ broker_id: { $regex: "a" } }] }, ["filters[0].broker_id.$regex"]],
    [{ filters: [{}], limit: "3" }, ["limit"]],
    [{ filters: [{}], offset: -1 }, ["offset"]],
    [{ filters: [{}], more: 1 }, ["more"]],
    ["filters", [""]],
    [[], [""]],
  ])("answers 400 to %j, naming %j", async (body, paths) => {
    const answer = await ask("POST", "/indexer/query/orders", { body });
    expect(answer.status).toBe(400);
    expect(pathsOf(answer)).toEqual(paths);
  });

  it.each([1_000, 100_000])("answers 400 to a filter %i levels deep", async (levels) => {
    const raw = `{"not": ${'{"not": '.repeat(levels)}{}${"}".repeat(levels)}}`;
    expect((await ask("POST", "/indexer/query/orders", { raw })).status).toBe(400);
    expect((await ask("POST", "/indexer/query/orders", { raw: "[".repeat(levels) + "]".repeat(levels) })).status).toBe(400);
  });
});

describe("GET /collections and /stats", () => {
  it("lists the collections with how many records they hold and their first and last times", async () => {
    const { body } = await ask("GET", "/indexer/collections");
    expect(body.collections).toEqual([
      { name: "flights", pipelines: ["flights"], records: 0, first_publish_time: null, last_publish_time: null },
      {
        name: "orders",
        pipelines: ["orders", "returns"],
        records: COUNT + 5,
        first_publish_time: iso(START_MS),
        last_publish_time: iso(NOW_MS),
      },
    ]);
  });

  it("counts messages and bytes by bucket and broker id", async () => {
    const { body } = await ask("GET", `/indexer/stats/orders?from=${iso(START_MS + 60_000)}&to=${iso(START_MS + 150_000)}&bucket=minute`);
    expect(body.buckets).toEqual([
      { start: iso(START_MS + 60_000), broker_id: "orders", count: 60, bytes: 600 },
      { start: iso(START_MS + 120_000), broker_id: "orders", count: 30, bytes: 300 },
    ]);
  });

  it.each([
    ["to=2026-01-01T00:00:00Z", "from"],
    ["from=2026-01-01T00:00:00Z", "to"],
    ["from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&bucket=year", "bucket"],
    ["from=1970-01-01T00:00:00Z&to=2026-01-01T00:00:00Z&bucket=minute", "bucket"],
  ])("answers 400 to stats of ?%s, naming %s", async (query, path) => {
    const answer = await ask("GET", `/indexer/stats/orders?${query}`);
    expect(answer.status).toBe(400);
    expect(pathsOf(answer)).toEqual([path]);
  });
});

describe("a caller that may not read everything", () => {
  it("sees of other collections no more than of those that do not exist", async () => {
    const own = await openIndexer({
      clock,
      collections: [
        { name: "orders", pipelines: ["orders"] },
        { name: "secret", pipelines: ["secret"] },
      ],
      authorize: () => ({ id: "reader", admin: false, canRead: (name) => fitsGlob("or*", name), canPublish: () => false }),
    });
    try {
      await own.index.upsert("secret", [indexRecord(1)]);
      const calls: [string, string, unknown?][] = [
        ["GET", "exact/%/orders_1"],
        ["POST", "all/%", { ids: ["orders_1"] }],
        ["GET", "range/%/orders"],
        ["POST", "query/%", everything],
        ["GET", "stats/%?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z"],
      ];
      for (const [method, path, body] of calls) {
        const of = async (name: string) => (await own.ask(method, `/indexer/${path.replace("%", name)}`, { body })).body;
        const [secret, missing] = [await of("secret"), await of("nowhere")];
        expect(secret.status).toBe(404);
        expect(secret.detail.replace("secret", "nowhere")).toBe(missing.detail);
      }
      const { body } = await own.ask("GET", "/indexer/collections");
      expect(body.collections.map(({ name }: { name: string }) => name)).toEqual(["orders"]);
    } finally {
      await own.close();
    }
  });
});

describe("an index that cannot be used", () => {
  it("is answered with 503, Retry-After and nothing of its insides", async () => {
    // A mock, since a broken SQLite file is refused when it is opened.
    const broken = () =>
      Promise.reject(new IndexError("index_unavailable", "reading /secret/place/index.db: the disk failed", { retryable: true }));
    const own = await openIndexer({ clock, wrapIndex: (index) => ({ ...index, find: broken, get: broken }) });
    try {
      const answer = await own.ask("GET", "/indexer/range/orders/orders");
      expect(answer.status).toBe(503);
      expect(answer.headers.get("retry-after")).toBe("1");
      expect(JSON.stringify(answer.body)).not.toContain("secret");
    } finally {
      await own.close();
    }
  });

  it("is given no more searches than it can take: 429", async () => {
    const held = Promise.withResolvers<never[]>();
    const own = await openIndexer({ clock, wrapIndex: (index) => ({ ...index, find: () => held.promise }) });
    try {
      const asked = Array.from({ length: 33 }, () => own.ask("POST", "/indexer/query/orders", { body: everything }));
      const refused = await Promise.race(asked);
      expect(refused.status).toBe(429);
      expect(refused.headers.get("retry-after")).toBe("1");
      held.resolve([]);
      const statuses = (await Promise.all(asked)).map(({ status }) => status);
      expect(statuses.filter((status) => status === 200)).toHaveLength(32);
    } finally {
      await own.close();
    }
  });
});

describe("whatever comes in", () => {
  const methods = fc.constantFrom("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS");
  const starts = fc.constantFrom(
    "exact/orders/",
    "all/orders",
    "range/orders/",
    "query/orders",
    "collections",
    "stats/orders",
    "",
    "query/",
  );
  const text = fc.oneof(
    fc.string({ unit: "binary" }).map(encodeURIComponent),
    fc.string({ unit: "grapheme-ascii" }).map((part) => part.replaceAll(/[#\s]/g, "")),
  );
  const parameter = fc
    .tuple(fc.constantFrom("limit", "offset", "cursor", "count", "from", "to", "bucket", "x"), text)
    .map(([name, value]) => `${name}=${value}`);
  const names = fc.constantFrom(
    "filters",
    "all",
    "any",
    "not",
    "ids",
    "limit",
    "cursor",
    "additional_metadata.n",
    "publish_time",
    "$eq",
    "$in",
    "$exists",
    "__proto__",
    "toString",
  );
  const json = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      fc.jsonValue(),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(names, tie("value"), { maxKeys: 3 }),
    ),
  })).value;

  it("is never answered with a 5xx", async () => {
    await fc.assert(
      fc.asyncProperty(
        methods,
        starts,
        text,
        fc.array(parameter, { maxLength: 3 }),
        fc.option(json),
        fc.option(fc.string()),
        async (method, start, rest, parameters, body, raw) => {
          const hasBody = method !== "GET" && method !== "HEAD";
          const asked = hasBody ? (raw === null ? { body: body ?? undefined } : { raw }) : {};
          const { status } = await ask(method, `/indexer/${start}${rest}?${parameters.join("&")}`, asked);
          expect(status).toBeLessThan(500);
        },
      ),
      { numRuns: 600 },
    );
  });
});
