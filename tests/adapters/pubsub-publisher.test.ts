import { grpc } from "google-gax";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { open } from "../../shared/adapters/brokers/pubsub/adapter.ts";
import { cannotCarry } from "../../shared/adapters/brokers/pubsub/carrying.ts";
import type { Broker } from "../../shared/adapters/registry.ts";
import { type Attribute, binaryAttribute, stringAttribute } from "../../shared/core/message.ts";
import { messageOf } from "../contract/support-messages.ts";
import { type Answers, failure, type PublishRequest, startPubsubServer } from "./pubsub-server.ts";

let server: Awaited<ReturnType<typeof startPubsubServer>>;
let broker: Broker;
let requests: PublishRequest[];
let answers: Answers;

const textsOf = ({ messages }: PublishRequest) => messages.map(({ data }) => Buffer.from(data as Uint8Array).toString());
/** Takes what `fails` has nothing against. */
const takeUnless = (fails: (texts: string[], request: PublishRequest) => Error | undefined): void => {
  answers.publish = (request) => {
    requests.push(request);
    const error = fails(textsOf(request), request);
    if (error) throw error;
    return textsOf(request).map((text) => `id-${text}`);
  };
};
const publish = (payloads: readonly string[], orderingKey = "") =>
  broker.publisher.publish(
    "orders",
    payloads.map((payload) => messageOf(payload, { orderingKey })),
  );

beforeEach(async () => {
  requests = [];
  answers = {};
  takeUnless(() => undefined);
  server = await startPubsubServer(answers);
  broker = await open({ projectId: "p-1", emulatorHost: server.host }, { dataDir: "" });
});
afterEach(async () => {
  await broker.close();
  await server.stop();
});

describe("what Pub/Sub can carry", () => {
  const withAttributes = (...attributes: Attribute[]) => messageOf("x", { attributes });
  const many = (count: number) => withAttributes(...Array.from({ length: count }, (_, i) => stringAttribute(`n${i}`, "")));

  test.each([
    ["bytes and text", messageOf("x", { attributes: [stringAttribute("a", "")], orderingKey: "k" })],
    ["attributes without a payload", messageOf("", { attributes: [stringAttribute("a", "b")] })],
    ["100 attributes", many(100)],
    ["a name of 256 bytes", withAttributes(stringAttribute("ü".repeat(128), "1"))],
    ["a value of 1,024 bytes", withAttributes(stringAttribute("a", "ü".repeat(512)))],
    ["an ordering key of 1,024 bytes", messageOf("x", { orderingKey: "k".repeat(1024) })],
    ["names that only look like Google's", withAttributes(stringAttribute("Google", "1"), stringAttribute("goo", "1"))],
    ["the name __proto__", withAttributes(stringAttribute("__proto__", "1"))],
  ])("carries %s", (_, content) => {
    expect(cannotCarry(content)).toBeUndefined();
  });

  test.each([
    ["payload of kind null", messageOf("", { payloadKind: "null" })],
    ["payload of kind amqp-value", messageOf("x", { payloadKind: "amqp-value" })],
    ["record key", messageOf("x", { key: new Uint8Array(0) })],
    ["system property", messageOf("x", { system: [stringAttribute("ttl", "1")] })],
    ["content type", messageOf("x", { contentType: "text/plain" })],
    ["neither payload nor attributes", messageOf("")],
    ["100 attributes", many(101)],
    ["kind binary", withAttributes(binaryAttribute("b", new Uint8Array(1)))],
    ["without a name", withAttributes(stringAttribute("", "1"))],
    ["repeated", withAttributes(stringAttribute("a", "1"), stringAttribute("a", "1"))],
    ["goog", withAttributes(stringAttribute("googclient_x", "1"))],
    ["names of up to 256 bytes", withAttributes(stringAttribute(`${"ü".repeat(128)}a`, "1"))],
    ["values of up to 1024 bytes", withAttributes(stringAttribute("a", `${"ü".repeat(512)}a`))],
    ["half surrogate", withAttributes(stringAttribute("a", "\ud800"))],
    ["half surrogate", withAttributes(stringAttribute("\udc00", "a"))],
    ["half a surrogate", messageOf("x", { orderingKey: "\ud800" })],
    ["ordering keys of up to 1024 bytes", messageOf("x", { orderingKey: `${"ü".repeat(512)}a` })],
  ])("cannot carry what has it, naming: %s", (part, content) => {
    expect(cannotCarry(content)).toContain(part);
  });

  test("counts bytes, not characters, where payload and attributes together come near 10 MB", () => {
    const attributes = Array.from({ length: 100 }, (_, i) => stringAttribute(`n${i}`, "ü".repeat(500)));
    const payloadOf = (length: number) => messageOf("", { payload: new Uint8Array(length), attributes });
    expect(cannotCarry(payloadOf(9_890_000))).toBeUndefined();
    expect(cannotCarry(payloadOf(9_930_000))).toContain("10000000 bytes");
  });

  test("sends nothing of what it cannot carry, and all the rest", async () => {
    const outcomes = await broker.publisher.publish("orders", [messageOf("a"), messageOf("b", { contentType: "x" }), messageOf("c")]);
    expect(outcomes).toMatchObject([{ ok: true, messageId: "id-a" }, { error: { code: "unsupported", retryable: false } }, { ok: true }]);
    expect(requests.map(textsOf)).toEqual([["a", "c"]]);
  });
});

describe("requests", () => {
  test("hold at most 1,000 messages", async () => {
    await publish(Array.from({ length: 2500 }, (_, i) => `${i}`));
    expect(requests.map(({ messages }) => messages.length).sort()).toEqual([1000, 1000, 500]);
  });

  test("hold at most 10 MB, and a message of the largest size alone", async () => {
    const payload = new Uint8Array(broker.publisher.limits.maxMessageBytes);
    const half = new Uint8Array(4_900_000);
    await broker.publisher.publish(
      "orders",
      [payload, half, half, half].map((bytes) => messageOf("", { payload: bytes })),
    );
    expect(requests.map(({ messages }) => messages.length).sort()).toEqual([1, 1, 2]);
  });

  test("hold one ordering key, and come after each other for one key", async () => {
    let [running, most] = [0, 0];
    answers.publish = async (request) => {
      requests.push(request);
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 300));
      running--;
      return textsOf(request);
    };
    const contents = Array.from({ length: 2300 }, (_, i) => messageOf(`${i}`, { orderingKey: i % 2 === 0 ? "even" : "" }));
    expect((await broker.publisher.publish("orders", contents)).every(({ ok }) => ok)).toBe(true);
    const keys = requests.map(({ messages }) => [...new Set(messages.map(({ orderingKey }) => orderingKey))]);
    expect(keys.map(({ length }) => length)).toEqual([1, 1, 1, 1]);
    const even = requests.filter((_, i) => keys[i]?.[0] === "even").flatMap(textsOf);
    expect(even).toEqual(Array.from({ length: 1150 }, (_, i) => `${2 * i}`));
    expect(most).toBe(3);
  });

  test("name the topic's project in full, also another one", async () => {
    await publish(["a"]);
    await broker.publisher.publish("projects/other/topics/news", [messageOf("b")]);
    expect(requests.map(({ topic }) => topic)).toEqual(["projects/p-1/topics/orders", "projects/other/topics/news"]);
  });
});

describe("failures", () => {
  test("of one message isolate it by halving, also within a key", async () => {
    takeUnless((texts) => (texts.includes("bad") ? failure("INVALID_ARGUMENT") : undefined));
    for (const key of ["", "k"]) {
      const outcomes = await publish(["a", "b", "bad", "c", "d"], key);
      expect(outcomes.map(({ ok }) => ok)).toEqual([true, true, false, true, true]);
      expect(outcomes[2]).toMatchObject({ error: { code: "refused", retryable: false } });
    }
  });

  test("of a key's request hold its later messages back, and no other key's", async () => {
    takeUnless((_, { messages }) => (messages[0]?.orderingKey === "k" ? failure("FAILED_PRECONDITION") : undefined));
    const contents = [..."x".repeat(1500)].map((text) => messageOf(text, { orderingKey: "k" }));
    const outcomes = await broker.publisher.publish("orders", [...contents, messageOf("y", { orderingKey: "j" })]);
    expect(outcomes[0]).toMatchObject({ error: { code: "broker_unavailable", retryable: true } });
    expect(outcomes[1499]).toMatchObject({ error: { retryable: true, message: expect.stringContaining("not sent") } });
    expect(outcomes[1500]).toMatchObject({ ok: true });
    expect(requests).toHaveLength(2);
  });

  test("that pass are retried", async () => {
    takeUnless(() => (requests.length < 3 ? failure("UNAVAILABLE") : undefined));
    expect(await publish(["a"])).toMatchObject([{ ok: true }]);
  });

  test.each([
    ["NOT_FOUND", "topic_missing", false, "create the topic"],
    ["PERMISSION_DENIED", "broker_unavailable", true, "roles/pubsub.publisher"],
    ["UNAUTHENTICATED", "broker_unavailable", true, "roles/pubsub.publisher"],
  ] as const)("of the whole topic, %s, are thrown as %s with a remedy, after one request", async (code, thrown, retryable, remedy) => {
    takeUnless(() => failure(code));
    const contents = Array.from({ length: 20 }, (_, i) => messageOf("x", { orderingKey: `${i % 2}` }));
    await expect(broker.publisher.publish("orders", contents)).rejects.toMatchObject({
      code: thrown,
      retryable,
      message: expect.stringContaining(remedy),
    });
    expect(requests.length).toBeLessThanOrEqual(2);
  });

  test("that last are retryable", async () => {
    const codes = ["RESOURCE_EXHAUSTED", "INTERNAL", "ABORTED", "UNAVAILABLE"] as const;
    takeUnless((_, { topic }) => failure(codes.find((code) => topic.endsWith(code)) ?? "UNKNOWN"));
    const outcomes = await Promise.all(codes.map((code) => broker.publisher.publish(code, [messageOf("a")])));
    for (const outcome of outcomes) expect(outcome).toMatchObject([{ error: { code: "broker_unavailable", retryable: true } }]);
    expect(requests.length).toBeGreaterThan(2 * codes.length);
  });

  test("of a broker that never answers end with the publisher", async () => {
    answers.publish = () => new Promise(() => undefined);
    const publishing = publish(["a"]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await broker.close();
    expect(await publishing).toMatchObject([{ error: { code: "broker_unavailable", retryable: true } }]);
  });

  test("of an answer that has too few ids are retryable for all of its messages", async () => {
    answers.publish = () => ["1"];
    expect(await publish(["a", "b"])).toMatchObject([{ error: { retryable: true } }, { error: { retryable: true } }]);
  });
});

test("an exactly-once subscription's lost leases are counted, not thrown", async () => {
  const metadata = new grpc.Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from("\u0001ack-2\u0002PERMANENT_FAILURE_INVALID_ACK_ID"));
  answers.acknowledge = () => {
    throw failure("FAILED_PRECONDITION", metadata);
  };
  const source = await broker.openSource({ id: "id", topic: "orders", subscription: "orders-s" });
  const deliveries = ["ack-1", "ack-2"].map((ackId) => ({ ackId })) as unknown as Parameters<typeof source.acknowledge>[0];
  expect(await source.acknowledge(deliveries)).toBe(1);
});

test("acknowledges in requests of at most 512 KiB", async () => {
  const sizes: number[] = [];
  answers.acknowledge = ({ ackIds }) => void sizes.push(ackIds.reduce((sum, id) => sum + id.length + 3, 0));
  const source = await broker.openSource({ id: "id", topic: "orders", subscription: "orders-s" });
  const deliveries = Array.from({ length: 6000 }, (_, i) => ({ ackId: `${i}`.padEnd(200, "x") }));
  expect(await source.acknowledge(deliveries as unknown as Parameters<typeof source.acknowledge>[0])).toBe(6000);
  expect(Math.max(...sizes)).toBeLessThan(512 * 1024);
  expect(sizes.length).toBeGreaterThan(2);
});
