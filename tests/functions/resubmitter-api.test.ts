import { createHash } from "node:crypto";
import { readdir, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openHost, pipelinesOf, type TestHost } from "../fixtures/host.ts";

let host: TestHost;
const COUNT = 300;

const order = (n: number, change: Record<string, unknown> = {}) => ({
  text: `order ${n}`,
  attributes: { type: n % 3 === 0 ? "book" : "film", number: String(n), ...change },
});
const filter = (fields: Record<string, unknown>) => ({ filters: [fields] });

beforeAll(async () => {
  const topics = { orders: {}, small: {}, torn: {} };
  host = await openHost({ PERSISTOR_PIPELINES: pipelinesOf(topics) });
  await host.feed(
    "orders",
    Array.from({ length: COUNT }, (_, n) => order(n)),
  );
});
afterAll(() => host.dispose());

let subscriptions = 0;
/** What a topic holds, read by a subscription of its own. */
async function textsOf(topic: string): Promise<string[]> {
  const subscription = `reader${subscriptions++}`;
  const texts: string[] = [];
  for (;;) {
    const { body } = await host.call("POST", `/topics/${topic}/subscriptions/${subscription}:pull`, { maxMessages: 1000 });
    if (body.receivedMessages.length === 0) return texts;
    const ackIds = body.receivedMessages.map(({ ackId }: { ackId: string }) => ackId);
    texts.push(
      ...body.receivedMessages.map(({ message }: { message: { data: string } }) => Buffer.from(message.data, "base64").toString()),
    );
    await host.call("POST", `/topics/${topic}/subscriptions/${subscription}:acknowledge`, { ackIds });
  }
}

async function untilEnded(id: string) {
  for (;;) {
    const { body } = await host.call("GET", `/resubmitter/jobs/${id}`);
    if (["succeeded", "partial", "failed", "cancelled"].includes(body.state)) return body;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe("the Resubmitter API", () => {
  it("sends the messages of the ids asked for, and says that each was verified", async () => {
    const { body: page } = await host.call("POST", "/indexer/query/orders", filter({ "additional_metadata.number": { $in: ["7", "8"] } }));
    const ids = page.messages.map(({ unique_id }: { unique_id: string }) => unique_id);
    const { status, body } = await host.call("POST", "/resubmitter/resubmit/orders?topic=by-ids", { ids });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      status: 200,
      summary: { indexed_count: 2, fetched_count: 2, deserialized_count: 2, published_count: 2, verified_count: 2 },
      errors: { indexer_errors: [], pipeline_errors: [] },
    });
    expect((await textsOf("by-ids")).sort()).toEqual(["order 7", "order 8"]);
  });

  it("names the ids that the index does not have: 206 with others, 200 with zeros alone", async () => {
    const { body: page } = await host.call("POST", "/indexer/query/orders?limit=1", filter({}));
    const some = await host.call("POST", "/resubmitter/resubmit/orders?topic=missing", {
      ids: [page.messages[0].unique_id, "orders_none"],
    });
    expect(some.status).toBe(206);
    expect(some.body.errors.indexer_errors).toEqual([{ id: "orders_none", reason: "not_found" }]);
    const none = await host.call("POST", "/resubmitter/resubmit/orders?topic=missing", { ids: ["orders_none"] });
    expect(none).toMatchObject({ status: 200, body: { summary: { indexed_count: 0, published_count: 0 }, msg: "nothing matched" } });
  });

  it("sends what a filter matches, compared as numbers", async () => {
    const { status, body } = await host.call(
      "POST",
      "/resubmitter/query/orders?topic=by-filter",
      filter({ "additional_metadata.number": { $gte: 9, $lt: 12 } }),
    );
    expect([status, body.summary.published_count]).toEqual([200, 3]);
    expect((await textsOf("by-filter")).sort()).toEqual(["order 10", "order 11", "order 9"]);
  });

  it("sends a source's range of time, half-open, by offset and limit in the order of publish time", async () => {
    const all = await host.call("POST", "/resubmitter/range/orders?topic=by-range&offset=10&limit=5", { broker_id: "orders" });
    expect([all.status, all.body.summary.published_count]).toEqual([200, 5]);
    const none = await host.call("POST", "/resubmitter/range/orders?topic=by-range", { broker_id: "orders", ub: "2001-01-01T00:00:00Z" });
    expect(none.body.summary.indexed_count).toBe(0);
    const other = await host.call("POST", "/resubmitter/range/orders?topic=by-range", { broker_id: "another" });
    expect(other.body.summary.indexed_count).toBe(0);
  });

  it("takes the request from the header instead of the body, but not from both", async () => {
    const header = { "x-persistor-request": JSON.stringify(filter({ "additional_metadata.number": "5" })) };
    const { body } = await host.call("POST", "/resubmitter/query/orders?topic=by-header", undefined, header);
    expect(body.summary.published_count).toBe(1);
    expect((await host.call("POST", "/resubmitter/query/orders?topic=by-header", filter({}), header)).status).toBe(400);
  });

  it("on a dry run tells what would be sent, and sends nothing", async () => {
    const { status, body } = await host.call(
      "POST",
      "/resubmitter/query/orders?topic=dry&dry_run=true",
      filter({ "additional_metadata.type": "book" }),
    );
    expect(status).toBe(200);
    expect(body).toMatchObject({ matched_count: COUNT / 3 });
    expect(body.objects).toBeGreaterThan(0);
    expect(body.payload_bytes).toBeGreaterThan(0);
    expect(Date.parse(body.first_publish_time)).toBeLessThanOrEqual(Date.parse(body.last_publish_time));
    const limited = await host.call(
      "POST",
      "/resubmitter/query/orders?topic=dry&dry_run=true&offset=90&limit=20",
      filter({ "additional_metadata.type": "book" }),
    );
    expect(limited.body.matched_count).toBe(10);
    expect((await host.call("GET", "/topics")).body.topics.map(({ name }: { name: string }) => name)).not.toContain("dry");
  });

  it("adds the original id, topic and time where asked, and leaves the message alone where not", async () => {
    await host.call("POST", "/resubmitter/query/orders?topic=annotated&annotate=true", filter({ "additional_metadata.number": "5" }));
    const { body } = await host.call("POST", "/topics/annotated/subscriptions/s:pull", { maxMessages: 1 });
    expect(body.receivedMessages[0].message.attributes).toMatchObject({ type: "film", number: "5", "persistor-original-topic": "orders" });
    expect(body.receivedMessages[0].message.attributes["persistor-original-id"]).toMatch(/^orders_\d+$/);
  });

  it("answers with the job where preferred, shows its progress, and lists it", async () => {
    const { status, headers, body } = await host.call(
      "POST",
      "/resubmitter/range/orders?topic=async",
      { broker_id: "orders" },
      { prefer: "respond-async" },
    );
    expect(status).toBe(202);
    expect(headers.get("location")).toBe(`/resubmitter/jobs/${body.job}`);
    const job = await untilEnded(body.job);
    expect(job).toMatchObject({
      state: "succeeded",
      plan_complete: true,
      summary: { published_count: COUNT, verified_count: COUNT },
      topic: "async",
      collection: "orders",
    });
    const { body: list } = await host.call("GET", "/resubmitter/jobs?state=succeeded&collection=orders&limit=1");
    expect(list.jobs).toHaveLength(1);
    const { body: next } = await host.call("GET", `/resubmitter/jobs?state=succeeded&collection=orders&limit=1&cursor=${list.cursor}`);
    expect(next.jobs[0].id).not.toBe(list.jobs[0].id);
  });

  it("answers a repeated idempotency key with the first request's job, and refuses it for another request", async () => {
    const headers = { "idempotency-key": "k1" };
    const body = filter({ "additional_metadata.number": "42" });
    const first = await host.call("POST", "/resubmitter/query/orders?topic=idempotent", body, headers);
    const second = await host.call("POST", "/resubmitter/query/orders?topic=idempotent", body, headers);
    expect(second.body).toEqual(first.body);
    expect(await textsOf("idempotent")).toEqual(["order 42"]);
    expect((await host.call("POST", "/resubmitter/query/orders?topic=idempotent", filter({}), headers)).status).toBe(422);
  });

  it("keeps a given pace, stops when cancelled, and goes on where it was", async () => {
    const { body } = await host.call(
      "POST",
      "/resubmitter/range/orders?topic=paced&rate=50",
      { broker_id: "orders" },
      { prefer: "respond-async" },
    );
    const firstOf = async () =>
      (await host.call("POST", "/topics/paced/subscriptions/first:pull", { maxMessages: 1 })).body.receivedMessages;
    await expect.poll(firstOf).toHaveLength(1);
    await host.call("POST", `/resubmitter/jobs/${body.job}/cancel`);
    const cancelled = await untilEnded(body.job);
    expect(cancelled.state).toBe("cancelled");
    expect(cancelled.summary.published_count).toBeLessThan(COUNT);
    expect((await textsOf("paced")).length).toBe(cancelled.summary.published_count);
    await host.call("POST", `/resubmitter/jobs/${body.job}/resume`);
    const ended = await untilEnded(body.job);
    expect(ended).toMatchObject({ state: "succeeded", summary: { published_count: COUNT, verified_count: COUNT } });
    expect(new Set(await textsOf("paced")).size).toBe(COUNT);
    expect((await host.call("POST", `/resubmitter/jobs/${body.job}/resume`)).status).toBe(409);
  });

  it("never mixes the counts of jobs that run at once", async () => {
    const ranges = [1, 10, 100, 200].map((limit) =>
      host.call("POST", `/resubmitter/range/orders?topic=mixed&limit=${limit}`, { broker_id: "orders" }),
    );
    expect((await Promise.all(ranges)).map(({ body }) => body.summary.published_count)).toEqual([1, 10, 100, 200]);
  });

  it("sends in order per ordering key where asked", async () => {
    await host.feed(
      "small",
      Array.from({ length: 60 }, (_, n) => ({ text: String(n), attributes: { type: String(n % 7) }, orderingKey: `key ${n % 2}` })),
    );
    const { body } = await host.call("POST", "/resubmitter/query/small?topic=in-order&ordered=true", filter({}));
    expect(body.summary.published_count).toBe(60);
    const numbers = (await textsOf("in-order")).map(Number);
    for (const rest of [0, 1]) {
      const ofKey = numbers.filter((n) => n % 2 === rest);
      expect(ofKey).toEqual(ofKey.toSorted((a, b) => a - b));
    }
  });

  it("names the messages of a lost and of a torn object, sends the others, and only those again once mended", async () => {
    await host.feed(
      "torn",
      Array.from({ length: 30 }, (_, n) => order(n, { type: ["whole", "lost", "torn"][n % 3] })),
    );
    const folder = join(host.dataDir, "objects", "torn");
    const [torn] = await readdir(join(folder, "torn"));
    await truncate(join(folder, "torn", torn as string), 700);
    const { body: page } = await host.call("POST", "/indexer/query/torn?limit=100", filter({ "additional_metadata.type": "lost" }));
    await rm(join(folder, "lost"), { recursive: true });
    const { status, body } = await host.call("POST", "/resubmitter/query/torn?topic=mended", filter({}));
    expect(status).toBe(206);
    expect(body.summary).toMatchObject({ indexed_count: 30, published_count: 10, verified_count: 10 });
    const reasons = Map.groupBy(body.errors.pipeline_errors as { id: string; reason: string }[], ({ reason }) => reason);
    expect(
      reasons
        .get("storage_error")
        ?.map(({ id }) => id)
        .sort(),
    ).toEqual(page.messages.map(({ unique_id }: { unique_id: string }) => unique_id).sort());
    expect(reasons.get("deserialization_error")).toHaveLength(10);
    const failures = await host.call("GET", `/resubmitter/jobs/${body.job}/failures?limit=15`);
    const rest = await host.call("GET", `/resubmitter/jobs/${body.job}/failures?limit=15&cursor=${failures.body.cursor}`);
    expect([failures.body.failures.length, rest.body.failures.length, rest.body.cursor]).toEqual([15, 5, null]);
    const resumed = await host.call("POST", `/resubmitter/jobs/${body.job}/resume`, { failed_only: true });
    expect(resumed.status).toBe(200);
    expect(await untilEnded(body.job)).toMatchObject({
      state: "partial",
      summary: { indexed_count: 30, published_count: 10, fetched_count: 20 },
    });
    expect(await textsOf("mended")).toHaveLength(10);
  });

  it("answers 400 with the reasons where something matched and everything failed", async () => {
    const { status, body } = await host.call("POST", "/resubmitter/query/torn?topic=none", filter({ "additional_metadata.type": "lost" }));
    expect(status).toBe(400);
    expect(body).toMatchObject({ status: 400, summary: { indexed_count: 10, published_count: 0 } });
    expect(body.errors.pipeline_errors).toHaveLength(10);
  });

  it.each([
    ["POST", "/resubmitter/range/orders", { broker_id: "orders" }, 400, "topic"],
    ["POST", "/resubmitter/range/orders?topic=a/b", { broker_id: "orders" }, 404, ""],
    ["POST", "/resubmitter/range/nothing?topic=a", { broker_id: "orders" }, 404, ""],
    ["POST", "/resubmitter/range/orders?topic=a&offset=-1", { broker_id: "orders" }, 400, "offset"],
    ["POST", "/resubmitter/range/orders?topic=a&rate=0", { broker_id: "orders" }, 400, "rate"],
    ["POST", "/resubmitter/range/orders?topic=a&speed=1", { broker_id: "orders" }, 400, "speed"],
    ["POST", "/resubmitter/range/orders?topic=a", { broker_id: "orders", lb: "yesterday" }, 400, "lb"],
    ["POST", "/resubmitter/range/orders?topic=a", { broker_id: 1 }, 400, "broker_id"],
    ["POST", "/resubmitter/resubmit/orders?topic=a", { ids: [] }, 400, "ids"],
    ["POST", "/resubmitter/resubmit/orders?topic=a", { ids: ["a"], more: 1 }, 400, "more"],
    ["POST", "/resubmitter/query/orders?topic=a", { filters: [] }, 400, "filters"],
    [
      "POST",
      "/resubmitter/query/orders?topic=a",
      { filters: [{ "additional_metadata.a": null }] },
      400,
      "filters[0].additional_metadata.a",
    ],
    ["POST", "/resubmitter/query/orders?topic=a", "{", 400, ""],
    ["GET", "/resubmitter/jobs/none", undefined, 404, ""],
    ["GET", "/resubmitter/jobs?cursor=!", undefined, 400, "cursor"],
    ["POST", "/resubmitter/jobs/none/cancel", undefined, 404, ""],
    ["GET", "/resubmitter/resubmit/orders", undefined, 405, ""],
  ])("refuses %s %s %j with %i and names the place", async (method, path, body, status, place) => {
    const answer = await host.call(method, path, body);
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toMatch("application/problem+json");
    expect(answer.body).toMatchObject({ status, instance: answer.headers.get("x-request-id") });
    if (place) expect(answer.body.errors.map(({ path: at }: { path: string }) => at)).toContain(place);
  });
});

describe("authorization of resubmissions", () => {
  it("hides unreadable collections and foreign jobs, and refuses destinations that were not granted", async () => {
    const grants = (id: string, read: string[], publish: string[]) => ({
      id,
      sha256: createHash("sha256").update(id).digest("hex"),
      grants: { read, publish },
    });
    const auth = {
      mode: "required",
      apiKeys: [grants("reader", ["orders"], []), grants("sender", ["orders"], ["replay-*"]), grants("stranger", [], ["*"])],
    };
    const guarded = await openHost({ PERSISTOR_AUTH: JSON.stringify(auth) });
    try {
      const call = (key: string, topic: string) =>
        guarded.call("POST", `/resubmitter/range/orders?topic=${topic}`, { broker_id: "orders" }, { authorization: `Bearer ${key}` });
      expect((await guarded.call("POST", "/resubmitter/range/orders?topic=replay-a", { broker_id: "orders" })).status).toBe(401);
      expect((await call("reader", "replay-a")).status).toBe(403);
      expect((await call("sender", "elsewhere")).status).toBe(403);
      expect((await call("stranger", "replay-a")).status).toBe(404);
      const sent = await call("sender", "replay-a");
      expect(sent.status).toBe(200);
      expect(
        (await guarded.call("GET", `/resubmitter/jobs/${sent.body.job}`, undefined, { authorization: "Bearer stranger" })).status,
      ).toBe(404);
      expect(
        (await guarded.call("GET", `/resubmitter/jobs/${sent.body.job}`, undefined, { authorization: "Bearer sender" })).body.created_by,
      ).toBe("sender");
      expect(
        (await guarded.call("POST", "/admin/maintenance", { kind: "audit", pipeline: "orders" }, { authorization: "Bearer sender" }))
          .status,
      ).toBe(403);
    } finally {
      await guarded.dispose();
    }
  });
});
