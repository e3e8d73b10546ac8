import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EmbeddedBroker, open } from "../../shared/adapters/brokers/embedded/adapter.ts";
import { BrokerError } from "../../shared/core/errors.ts";
import {
  type Attribute,
  binaryAttribute,
  booleanAttribute,
  doubleAttribute,
  longAttribute,
  nullAttribute,
  stringAttribute,
  timestampAttribute,
} from "../../shared/core/message.ts";
import { NO_LOG } from "../../shared/core/ports/log.ts";
import type { Publisher } from "../../shared/core/ports/publisher.ts";
import { ANYONE } from "../../shared/runtime/auth/authorize.ts";
import { createApp } from "../../shared/runtime/http/app.ts";
import { brokerRoutes } from "../../shared/runtime/local/broker-verbs.ts";
import { MAX_LINE_BYTES } from "../../shared/runtime/local/event-lines.ts";
import { attributesOf, wireAttributesOf } from "../../shared/runtime/local/wire-attributes.ts";
import { createMetrics } from "../../shared/runtime/telemetry/metrics.ts";
import { type Answer, type Ask, asking } from "./support-app.ts";

let broker: EmbeddedBroker;
let dataDir: string;
let ask: Ask;
let topics = 0;

const newTopic = () => `topic-${++topics}`;
const NDJSON = { "content-type": "application/x-ndjson" };
const pathsOf = ({ body }: Answer): string[] => (body.errors ?? []).map((error: { path: string }) => error.path);
const base64 = (text: string) => Buffer.from(text).toString("base64");
const load = (topic: string, raw: string | Uint8Array) => ask("POST", `/topics/${topic}/events`, { raw, headers: NDJSON });

interface Pulled {
  ackId: string;
  deliveryAttempt: number;
  message: {
    data: string | null;
    attributes: Record<string, unknown>;
    messageId: string;
    publishTime: string;
    orderingKey: string;
    contentType?: string;
    key?: string;
  };
}

async function pull(topic: string, maxMessages = 1000, subscription = "s"): Promise<Pulled[]> {
  const { status, body } = await ask("POST", `/topics/${topic}/subscriptions/${subscription}:pull`, { body: { maxMessages } });
  expect(status).toBe(200);
  return body.receivedMessages;
}

/** All messages of a topic, as their payload texts. */
async function texts(topic: string): Promise<string[]> {
  const kept = (await broker.topics()).find(({ name }) => name === topic)?.messages ?? 0;
  const all: string[] = [];
  while (all.length < kept) {
    const received = await pull(topic);
    all.push(...received.map(({ message }) => Buffer.from(message.data ?? "", "base64").toString()));
    await ask("POST", `/topics/${topic}/subscriptions/s:acknowledge`, { body: { ackIds: received.map(({ ackId }) => ackId) } });
  }
  return all;
}

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "persistor-verbs-"));
  broker = await open({}, { dataDir });
  ask = asking([{ prefix: "", routes: brokerRoutes(broker) }]);
});

afterAll(async () => {
  await broker.close();
  await rm(dataDir, { recursive: true, force: true });
});

describe("publish and pull", () => {
  it("carry a message unaltered, attributes of every kind with it", async () => {
    const topic = newTopic();
    const attributes = JSON.parse(
      '{"": "empty name", "__proto__": "x", "a.b$c": "ü€𝄞", "list": ["x", "x", 1, null, {"$binary": "AAE="}], "one": 1, "half": 0.5, "yes": true, "nothing": null, "big": {"$kind": "long", "$value": "f/////////8="}}',
    );
    const message = { data: base64("hello"), attributes, orderingKey: "k", contentType: "text/plain", key: base64("key") };
    const published = await ask("POST", `/topics/${topic}:publish`, { body: { messages: [message, { data: null }, {}] } });
    expect(published.status).toBe(200);
    expect(published.body.messageIds).toHaveLength(3);
    const [first, second, third] = await pull(topic);
    expect(first?.deliveryAttempt).toBe(1);
    expect(first?.message).toMatchObject({ ...message, messageId: published.body.messageIds[0] });
    expect(Object.entries(first?.message.attributes ?? {})).toEqual(Object.entries(attributes));
    expect(first?.message.publishTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(second?.message.data).toBeNull();
    expect(third?.message.data).toBe("");
  });

  it("give a message again once it is given back, and never again once it is acknowledged", async () => {
    const topic = newTopic();
    await load(topic, '{"text": "a"}');
    const [first] = await pull(topic);
    const path = `/topics/${topic}/subscriptions/s`;
    const released = await ask("POST", `${path}:modifyAckDeadline`, { body: { ackIds: [first?.ackId], ackDeadlineSeconds: 0 } });
    expect(released.body).toEqual({ modified: 1 });
    const [again] = await pull(topic);
    expect(again?.deliveryAttempt).toBe(2);
    expect((await ask("POST", `${path}:acknowledge`, { body: { ackIds: [first?.ackId] } })).body).toEqual({ acknowledged: 0 });
    expect((await ask("POST", `${path}:acknowledge`, { body: { ackIds: [again?.ackId] } })).body).toEqual({ acknowledged: 1 });
    expect(await pull(topic)).toEqual([]);
  });

  it("list the topics with their subscriptions", async () => {
    const topic = newTopic();
    await load(topic, '{"text": "a"}\n{"text": "b"}');
    await pull(topic, 1);
    const { body } = await ask("GET", "/topics");
    expect(body.topics.find(({ name }: { name: string }) => name === topic)).toMatchObject({
      messages: 2,
      subscriptions: [{ name: "s", backlog: 2, leased: 1 }],
    });
  });

  it.each([
    [{}, "messages"],
    [{ messages: [] }, "messages"],
    [{ messages: Array(1001).fill({}) }, "messages"],
    [{ messages: [{}], more: 1 }, "more"],
    [{ messages: [{}, 1] }, "messages[1]"],
    [{ messages: [{ data: "a" }] }, "messages[0].data"],
    [{ messages: [{ data: "YW=" }] }, "messages[0].data"],
    [{ messages: [{ data: "YWJ_" }] }, "messages[0].data"],
    [{ messages: [{ data: "YR==" }] }, "messages[0].data"],
    [{ messages: [{ text: "a" }] }, "messages[0].text"],
    [{ messages: [{ orderingKey: 1 }] }, "messages[0].orderingKey"],
    [{ messages: [{ orderingKey: "\ud800" }] }, "messages[0].orderingKey"],
    [{ messages: [{ attributes: [] }] }, "messages[0].attributes"],
    [{ messages: [{ attributes: { a: {} } }] }, "messages[0].attributes.a"],
    [{ messages: [{ attributes: { a: ["x", ["y"]] } }] }, "messages[0].attributes.a[1]"],
    [{ messages: [{ attributes: { a: "\udfff" } }] }, "messages[0].attributes.a"],
    [{ messages: [{ attributes: { a: { $binary: "?" } } }] }, "messages[0].attributes.a.$binary"],
    [{ messages: [{ attributes: { a: { $kind: "long", $value: "AAE=" } } }] }, "messages[0].attributes.a.$value"],
    [{ messages: [{ attributes: { a: { $kind: "boolean", $value: "Ag==" } } }] }, "messages[0].attributes.a.$value"],
    [{ messages: [{ attributes: { a: { $kind: "string", $value: "AAE=" } } }] }, "messages[0].attributes.a.$kind"],
  ])("publish answers 400 to a wrong body and publishes nothing (%#)", async (body, path) => {
    const topic = newTopic();
    const answer = await ask("POST", `/topics/${topic}:publish`, { body });
    expect(answer.status).toBe(400);
    expect(pathsOf(answer)).toEqual([path]);
    expect(await texts(topic)).toEqual([]);
  });

  it.each([
    ["/topics/..%2Fx:publish", { messages: [{}] }, 400],
    ["/topics/-x:publish", { messages: [{}] }, 400],
    ["/topics/a%3Ab:publish", { messages: [{}] }, 400],
    [`/topics/${"x".repeat(256)}/events`, {}, 400],
    ["/topics/t:purge", {}, 404],
    ["/topics/t/subscriptions/s:pull", { maxMessages: 0 }, 400],
    ["/topics/t/subscriptions/s:pull", { maxMessages: 1001 }, 400],
    ["/topics/t/subscriptions/s:pull", { returnImmediately: true }, 400],
    ["/topics/unknown/subscriptions/s:acknowledge", { ackIds: ["1.1.1"] }, 404],
    ["/topics/t/subscriptions/s:acknowledge", { ackIds: "1" }, 400],
    ["/topics/t/subscriptions/s:modifyAckDeadline", { ackIds: [], ackDeadlineSeconds: 601 }, 400],
    ["/topics/t/subscriptions/s:modifyAckDeadline", { ackIds: [] }, 400],
  ])("POST %s with %j is answered with %i", async (path, body, status) => {
    const headers: Record<string, string> = path.endsWith("events") ? NDJSON : {};
    expect((await ask("POST", path, { body, headers })).status).toBe(status);
  });
});

describe("events by NDJSON", () => {
  it("are published in order, each line one message with its content type", async () => {
    const topic = newTopic();
    const lines = [
      '{"text": "tëxt"}',
      "",
      '{"json": {"a": [1, "\\ud800"]}, "attributes": {"n": 1}}',
      `{"data": "${base64("data")}"}`,
      "  \r",
      '{"json": null, "contentType": "application/cbor"}\r',
    ];
    expect((await load(topic, lines.join("\n"))).body).toEqual({ accepted: 4 });
    const received = await pull(topic);
    expect(received.map(({ message }) => [Buffer.from(message.data ?? "", "base64").toString(), message.contentType])).toEqual([
      ["tëxt", "text/plain"],
      ['{"a":[1,"\\ud800"]}', "application/json"],
      ["data", undefined],
      ["null", "application/cbor"],
    ]);
  });

  it("keep their order over many batches, however the body is cut into pieces", async () => {
    const topic = newTopic();
    const wanted = Array.from({ length: 9000 }, (_, i) => `event ${i} ü`);
    const bytes = Buffer.from(wanted.map((text) => `${JSON.stringify({ text })}\n`).join(""));
    let start = 0;
    const pieces = new ReadableStream<Uint8Array>({
      pull(controller) {
        const end = start + 1 + ((start * 7919) % 5000);
        controller.enqueue(bytes.subarray(start, end));
        start = end;
        if (start >= bytes.length) controller.close();
      },
    });
    const app = createApp({
      mounts: [{ prefix: "", routes: brokerRoutes(broker) }],
      authorize: () => ANYONE,
      log: NO_LOG,
      metrics: createMetrics(),
      info: { version: "0" },
    });
    const response = await app.request(`/topics/${topic}/events`, {
      method: "POST",
      body: pieces,
      headers: NDJSON,
      duplex: "half",
    } as RequestInit);
    expect(await response.json()).toEqual({ accepted: wanted.length });
    expect(await texts(topic)).toEqual(wanted);
  });

  it.each([
    ['{"text": "a"}\n{"text": "b"}\n{nonsense}\n{"text": "c"}', "line 3", 2],
    ['\n\n{"text": 1}\n{"text": "c"}', "line 3.text", 0],
    ['{"text": "a"}\n{"text": "b", "json": 1}', "line 2", 1],
    ['{"text": "a"}\n{}', "line 2", 1],
    ['{"text": "a"}\n[]', "line 2", 1],
    ['{"text": "a"}\n{"text": "b", "attributes": {"x": {"y": 1}}}', "line 2.attributes.x", 1],
    ['{"text": "a"}\n{"text": "b", "__proto__": 1}', "line 2.__proto__", 1],
  ])("stop at a wrong line, name it, and tell how many before it are published: %j", async (raw, path, accepted) => {
    const topic = newTopic();
    const answer = await load(topic, raw);
    expect(answer.status).toBe(400);
    expect(pathsOf(answer)).toEqual([path]);
    expect(answer.body.accepted).toBe(accepted);
    expect(await texts(topic)).toHaveLength(accepted);
  });

  it("stop at a line that is not UTF-8", async () => {
    const topic = newTopic();
    const answer = await load(
      topic,
      Buffer.concat([Buffer.from('{"text": "a"}\n{"text": "'), Buffer.of(0xff), Buffer.from('"}\n{"text": "c"}')]),
    );
    expect(answer.status).toBe(400);
    expect(pathsOf(answer)).toEqual(["line 2"]);
    expect(await texts(topic)).toEqual(["a"]);
  });

  it("stop at a line that is too long or nested too deep", async () => {
    const topic = newTopic();
    const long = await load(topic, `{"text": "a"}\n{"text": "${"x".repeat(MAX_LINE_BYTES)}"}`);
    expect(long.status).toBe(413);
    expect(pathsOf(long)).toEqual(["line 2"]);
    expect(long.body.accepted).toBe(1);
    const deep = await load(topic, `{"json": ${"[".repeat(100_000)}${"]".repeat(100_000)}}`);
    expect(deep.status).toBe(400);
    expect(pathsOf(deep)).toEqual(["line 1.json"]);
  });

  it("carry a message of several megabytes", async () => {
    const topic = newTopic();
    const text = "x".repeat(8_000_000);
    expect((await load(topic, JSON.stringify({ text }))).body).toEqual({ accepted: 1 });
    expect(await texts(topic)).toEqual([text]);
  });

  it("are refused with 429 where the broker has too much to do, and tell how many it took", async () => {
    let calls = 0;
    const tired: Publisher = {
      ...broker.publisher,
      publish: async (topic, messages) => {
        if (++calls === 3) throw new BrokerError("overloaded", "writing to the broker: too much waits", { retryable: true });
        return broker.publisher.publish(topic, messages);
      },
    };
    const topic = newTopic();
    const own = asking([{ prefix: "", routes: brokerRoutes({ ...broker, publisher: tired }) }]);
    const answer = await own("POST", `/topics/${topic}/events`, { raw: '{"text": "a"}\n'.repeat(20_000), headers: NDJSON });
    expect(answer.status).toBe(429);
    expect(answer.headers.get("retry-after")).toBe("1");
    expect(answer.body.accepted).toBe(4000);
  });

  it("are refused as another type than NDJSON", async () => {
    expect((await ask("POST", "/topics/t/events", { body: { text: "a" } })).status).toBe(415);
  });
});

describe("a caller", () => {
  it("publishes only where it was granted, and pulls only as admin", async () => {
    const own = asking([{ prefix: "", routes: brokerRoutes(broker) }], {
      authorize: () => ({ ...ANYONE, id: "writer", admin: false, canPublish: (topic) => topic === "mine" }),
    });
    expect((await own("POST", "/topics/mine:publish", { body: { messages: [{}] } })).status).toBe(200);
    expect((await own("POST", "/topics/yours:publish", { body: { messages: [{}] } })).status).toBe(403);
    expect((await own("POST", "/topics/yours/events", { raw: '{"text": "a"}', headers: NDJSON })).status).toBe(403);
    expect((await own("POST", "/topics/mine/subscriptions/s:pull", { body: {} })).status).toBe(403);
    expect((await own("GET", "/topics")).status).toBe(403);
  });
});

describe("attributes in JSON", () => {
  const name = fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom("__proto__", "toString", "", "a.b", "$binary", "1"));
  const attribute: fc.Arbitrary<Attribute> = fc.oneof(
    fc.tuple(name, fc.string({ unit: "grapheme" })).map(([n, value]) => stringAttribute(n, value)),
    fc.tuple(name, fc.uint8Array()).map(([n, value]) => binaryAttribute(n, value)),
    fc.tuple(name, fc.boolean()).map(([n, value]) => booleanAttribute(n, value)),
    fc.tuple(name, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })).map(([n, value]) => longAttribute(n, value)),
    fc.tuple(name, fc.maxSafeInteger()).map(([n, value]) => longAttribute(n, BigInt(value))),
    fc.tuple(name, fc.double()).map(([n, value]) => doubleAttribute(n, value)),
    fc.tuple(name, fc.integer()).map(([n, value]) => timestampAttribute(n, BigInt(value))),
    name.map(nullAttribute),
    fc.tuple(name, fc.uint8Array()).map(([n, value]) => ({ name: n, kind: "amqp:uuid", value })),
  );
  const plain = (attributes: readonly Attribute[]) =>
    Object.entries(Object.groupBy(attributes, ({ name: n }) => `=${n}`))
      .map(([n, values]) => [
        n,
        values?.map(({ kind, value }) => [kind, typeof value === "string" ? value : Buffer.from(value).toString("hex")]),
      ])
      .toSorted();

  it("come back with the same kinds, bytes and order of repeats", () => {
    fc.assert(
      fc.property(fc.array(attribute), (attributes) => {
        const back = attributesOf(JSON.parse(JSON.stringify(wireAttributesOf(attributes))), "");
        expect(plain(back)).toEqual(plain(attributes));
      }),
    );
  });
});

describe("whatever comes in", () => {
  const line = fc.oneof(
    fc.json(),
    fc.string(),
    fc.record({ text: fc.jsonValue(), attributes: fc.jsonValue() }, { requiredKeys: [] }).map((value) => JSON.stringify(value)),
  );

  it("is never answered with a 5xx", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 5 }), fc.jsonValue(), async (lines, body) => {
        expect((await load("fuzz", lines.join("\n"))).status).toBeLessThan(500);
        expect((await ask("POST", "/topics/fuzz:publish", { body: body ?? undefined })).status).toBeLessThan(500);
        expect((await ask("POST", "/topics/fuzz:publish", { body: { messages: [body] } })).status).toBeLessThan(500);
      }),
      { numRuns: 100 },
    );
  });
});
