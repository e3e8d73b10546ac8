import { once } from "node:events";
import { createServer } from "node:http";
import { v1 } from "@google-cloud/pubsub";
import fc from "fast-check";
import { grpc } from "google-gax";
import { describe, expect, test } from "vitest";
import { open } from "../../shared/adapters/brokers/pubsub/adapter.ts";
import { decodePush } from "../../shared/adapters/brokers/pubsub/trigger.ts";
import { InvalidInput } from "../../shared/core/errors.ts";
import { stringAttribute } from "../../shared/core/message.ts";
import { messageOf, payloadText } from "../contract/support-messages.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { pubsubEmulatorMissing, startPubsubEmulator } from "../services/pubsub-emulator.ts";

const SOURCE = { id: "orders-id", topic: "orders" };
const MESSAGE = { data: "aGk=", messageId: "7", publishTime: "2026-01-02T03:04:05.678901234Z" };
const decode = (message: unknown, more: Record<string, unknown> = {}) =>
  decodePush({ message, subscription: "projects/p/subscriptions/s", ...more }, SOURCE);

describe("reading a push", () => {
  test("gives all that Pub/Sub says of a message", () => {
    const attributes = JSON.parse('{"b": "2", "\uffff": "", "\u{10000}": "😀", "__proto__": "p", "a": "1"}');
    const push = decode({ ...MESSAGE, attributes, orderingKey: "k" }, { deliveryAttempt: 3 });
    expect(push).toMatchObject({ attempt: 3, subscription: "projects/p/subscriptions/s" });
    expect(push.message).toEqual({
      ...messageOf("hi", { orderingKey: "k" }),
      payload: Buffer.from("hi"),
      attributes: [
        ["__proto__", "p"],
        ["a", "1"],
        ["b", "2"],
        ["\uffff", ""],
        ["\u{10000}", "😀"],
      ].map(([name, value]) => stringAttribute(name as string, value as string)),
      brokerId: "orders-id",
      brokerMessageId: "7",
      topic: "orders",
      partition: "",
      sequence: -1n,
      publishTimeUs: Date.UTC(2026, 0, 2, 3, 4, 5, 678) * 1000 + 901,
    });
  });

  test("reads both spellings, camelCase first", () => {
    const snake = { message_id: "8", publish_time: "2026-01-01T00:00:00Z", ordering_key: "s" };
    expect(decode(snake).message).toMatchObject({ brokerMessageId: "8", orderingKey: "s", payload: Buffer.alloc(0), attributes: [] });
    expect(decode({ ...snake, ...MESSAGE, orderingKey: "c" }).message).toMatchObject({ brokerMessageId: "7", orderingKey: "c" });
  });

  test("counts one delivery where Pub/Sub does not count", () => {
    expect(decodePush({ message: MESSAGE }, SOURCE)).toMatchObject({ attempt: 1, subscription: "" });
  });

  test.each([
    ["1970-01-01T00:00:00Z", 0],
    ["1969-12-31T23:59:59.999999999Z", -1],
    ["2026-02-28T23:59:59.5Z", Date.UTC(2026, 1, 28, 23, 59, 59, 500) * 1000],
    ["2026-01-01T01:00:00+01:00", Date.UTC(2026, 0, 1) * 1000],
    ["0001-01-01T00:00:00Z", -62_135_596_800_000_000],
  ])("reads the time %s", (publishTime, micros) => {
    expect(decode({ ...MESSAGE, publishTime }).message.publishTimeUs).toBe(micros);
  });

  test.each([
    ["2026-02-29T00:00:00Z"],
    ["2026-13-01T00:00:00Z"],
    ["2026-01-01T24:00:00Z"],
    ["2026-01-01T00:60:00Z"],
    ["2026-01-01T00:00:60Z"],
    ["2026-01-01T00:00:00"],
    ["2026-01-01T00:00:00.1234567890Z"],
    ["2026-01-01 00:00:00Z"],
    ["2026-01-01T00:00:00+24:00"],
    [""],
    [0],
    [undefined],
  ])("refuses the time %s", (publishTime) => {
    expect(() => decode({ ...MESSAGE, publishTime })).toThrow(/publishTime/);
  });

  test.each([
    ["", null],
    ["", []],
    ["", "text"],
    ["message", {}],
    ["message", { message: [] }],
    ["message.messageId", { message: { ...MESSAGE, messageId: "" } }],
    ["message.messageId", { message: { ...MESSAGE, messageId: 7 } }],
    ["message.data", { message: { ...MESSAGE, data: 7 } }],
    ["message.attributes", { message: { ...MESSAGE, attributes: ["a"] } }],
    ["message.attributes.a", { message: { ...MESSAGE, attributes: { a: 1 } } }],
    ["message.orderingKey", { message: { ...MESSAGE, orderingKey: {} } }],
    ["subscription", { message: MESSAGE, subscription: 1 }],
    ["deliveryAttempt", { message: MESSAGE, deliveryAttempt: "3" }],
    ["deliveryAttempt", { message: MESSAGE, deliveryAttempt: -1 }],
  ])("refuses a body that is none, naming %j", (path, body) => {
    const failure = catching(() => decodePush(body, SOURCE));
    expect(failure).toBeInstanceOf(InvalidInput);
    expect(failure).toMatchObject({ code: "invalid_input", retryable: false, faults: [{ path }] });
  });

  test.each(["a", "aGk", "aGk==", "aG k=", "aGk=\n", "a===", "====", "=", "aGk=aGk=", "_-8=", "+_8=", "aGl=", "aB==", "aGk=é", "ÿÿÿÿ"])(
    "refuses data that is not base64: %j",
    (data) => {
      expect(catching(() => decode({ ...MESSAGE, data }))).toMatchObject({ faults: [{ path: "message.data" }] });
    },
  );

  test("reads every base64 and nothing that differs in a character", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const { payload } = decode({ ...MESSAGE, data: Buffer.from(bytes).toString("base64") }).message;
        expect(Buffer.from(payload).equals(bytes)).toBe(true);
      }),
    );
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), (data) => {
        const failure = catching(() => decode({ ...MESSAGE, data }));
        expect(failure === undefined).toBe(Buffer.from(data, "base64").toString("base64") === data);
      }),
    );
  });

  test("reads a payload of 10 MB", () => {
    const bytes = Buffer.alloc(10_000_000, "0123456789");
    expect(Buffer.from(decode({ ...MESSAGE, data: bytes.toString("base64") }).message.payload).equals(bytes)).toBe(true);
  });
});

function catching(work: () => unknown): unknown {
  try {
    work();
    return undefined;
  } catch (error) {
    return error;
  }
}

describeWhere(pubsubEmulatorMissing(), "a push of the emulator", () => {
  test("is read whole", async () => {
    const emulator = await startPubsubEmulator();
    const bodies: unknown[] = [];
    const pushed = Promise.withResolvers<void>();
    const server = createServer(async (request, response) => {
      const chunks = await request.toArray();
      bodies.push(JSON.parse(Buffer.concat(chunks).toString()));
      response.writeHead(204).end();
      pushed.resolve();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const settings = { projectId: "p-push", emulatorHost: emulator.host };
    const [servicePath, port] = emulator.host.split(":");
    const options = { projectId: "p-push", servicePath, port: Number(port), sslCreds: grpc.credentials.createInsecure() };
    const admin = { topics: new v1.PublisherClient(options), subscriptions: new v1.SubscriberClient(options) };
    const broker = await open(settings, { dataDir: "" });
    try {
      const topic = "projects/p-push/topics/orders";
      await admin.topics.createTopic({ name: topic });
      const pushEndpoint = `http://127.0.0.1:${(server.address() as { port: number }).port}/`;
      const name = "projects/p-push/subscriptions/orders-push";
      await admin.subscriptions.createSubscription({ name, topic, pushConfig: { pushEndpoint } });
      const content = messageOf("\u0000 bytes ü", { attributes: [stringAttribute("a", "😀"), stringAttribute("ü", "")] });
      const [outcome] = await broker.publisher.publish("orders", [content]);
      await pushed.promise;
      const { message, subscription } = decodePush(bodies[0], SOURCE);
      expect(subscription).toBe(name);
      expect(payloadText(message)).toBe("\u0000 bytes ü");
      expect(message.attributes).toEqual(content.attributes);
      expect(outcome).toEqual({ ok: true, messageId: message.brokerMessageId });
      expect(Math.abs(message.publishTimeUs / 1000 - Date.now())).toBeLessThan(60_000);
    } finally {
      await Promise.all([broker.close(), admin.topics.close(), admin.subscriptions.close()]);
      server.close();
      await emulator.stop();
    }
  });
});
