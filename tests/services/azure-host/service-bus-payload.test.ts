import { randomUUID } from "node:crypto";
import type { ServiceBusMessage } from "@azure/service-bus";
import { describe, expect, test } from "vitest";
import { startApp, TELL, told, until } from "./support-app.ts";
import { bodies, MANY_BINARY, serviceBusSuite } from "./support-service-bus.ts";

const suite = serviceBusSuite();

describe("a Service Bus function of a batch", () => {
  test("gets the bytes of each message unaltered with dataType binary, and completes them all by its success", async () => {
    const { host, queue, send } = await suite.running({ trigger: MANY_BINARY, body: "tell(input);" });
    const bytes = Buffer.from(Uint8Array.from({ length: 256 }, (_, i) => i));
    await send({ body: bytes }, { body: Buffer.alloc(0) }, { body: Buffer.from("{}") });
    await until(async () => (await suite.server.counts(queue)).completed === 3);
    expect(told(host).flat()).toEqual([{ hex: bytes.toString("hex") }, { hex: "" }, { hex: "7b7d" }]);
    expect(host.invocations()["run"]?.failed).toBe(0);
  });

  test("gets parsed texts with dataType string, of which the empty ones are gone, and what is no UTF-8 is replaced", async () => {
    const { host, queue, send } = await suite.running({ trigger: `cardinality: "many", dataType: "string"`, body: "tell(input);" });
    await send(...bodies("plain", "", "123", '{"a":1}'), { body: Buffer.of(0xff) });
    await until(async () => (await suite.server.counts(queue)).completed === 5);
    expect(told(host).flat()).toEqual(["plain", 123, { a: 1 }, "\uFFFD"]);
  });

  test("gets JSON without a dataType, and one body that is none fails the whole batch before the handler", async () => {
    const { host, queue, send } = await suite.running({
      trigger: 'cardinality: "many"',
      body: "tell(input);",
      queue: { maxDeliveryCount: 2 },
    });
    await send(...bodies('{"a":1}', '{"b":2}'));
    await until(async () => (await suite.server.counts(queue)).completed === 2);
    expect(told(host).flat()).toEqual([{ a: 1 }, { b: 2 }]);
    await send(...bodies('{"a":1}', "no JSON"));
    await until(async () => (await suite.server.counts(`${queue}/$DeadLetterQueue`)).active === 2);
    expect(told(host).flat()).toHaveLength(2);
    expect(host.output()).toContain("uses Json.NET serialization");
  });

  const NASTY: ServiceBusMessage[] = [
    { body: Buffer.from("one"), messageId: "123", correlationId: "", applicationProperties: { Kind: "A", kind: "b", Number: "1e3" } },
    { body: Buffer.from("2"), messageId: "1e3", correlationId: "second", contentType: "text/plain", subject: "s" },
    { body: Buffer.from("3"), messageId: "null" },
    { body: Buffer.from("4"), messageId: "12345678901234567890", correlationId: "fourth", partitionKey: "p" },
  ];
  const METADATA = "const { triggerMetadata: m } = context; tell([m.messageIdArray, m.correlationIdArray, m.applicationPropertiesArray]);";

  test("gets metadata whose texts are parsed as JSON, whose empty entries are gone, and whose property names begin in lower case", async () => {
    const { host, send } = await suite.running({ trigger: MANY_BINARY, body: METADATA });
    await send(...NASTY);
    await until(() => told(host).length === 1);
    expect(told(host)).toEqual([
      [
        [123, 1000, null, 12345678901234567000],
        ["second", "fourth"],
        [{ kind: "b", number: "1e3" }, {}, {}, {}],
      ],
    ]);
  });

  test("keeps empty entries, and empty texts, with the capability IncludeEmptyEntriesInMessagePayload", async () => {
    const head = "app.setup({ capabilities: { IncludeEmptyEntriesInMessagePayload: true } });";
    const { host, send } = await suite.running({
      trigger: `cardinality: "many", dataType: "string"`,
      body: `tell(input); ${METADATA}`,
      head,
    });
    await send(...NASTY, { body: Buffer.alloc(0), messageId: "last" });
    await until(() => told(host).length === 2);
    expect(told(host)[0]).toEqual(["one", 2, 3, 4, ""]);
    expect(told(host)[1]).toMatchObject([
      [123, 1000, null, 12345678901234567000, "last"],
      ["", "second", "", "fourth", ""],
      expect.any(Array),
    ]);
  });

  test("gets the other arrays too: times without a zone and with one, counts from 1, sequence numbers, lock tokens", async () => {
    const { host, send } = await suite.running({ trigger: MANY_BINARY, body: "tell(context.triggerMetadata);" });
    await send({ body: "x", contentType: "a/b", subject: "s", to: "t", replyTo: "r", partitionKey: "p", timeToLive: 60_000 });
    await until(() => told(host).length === 1);
    const [metadata] = told(host) as Record<string, unknown[]>[];
    expect(metadata).toMatchObject({
      contentTypeArray: ["a/b"],
      subjectArray: ["s"],
      labelArray: ["s"],
      toArray: ["t"],
      replyToArray: ["r"],
      partitionKeyArray: ["p"],
      transactionPartitionKeyArray: ["p"],
      sessionIdArray: [],
      deliveryCountArray: [1],
      sequenceNumberArray: [1],
      lockTokenArray: [expect.stringMatching(/^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/)],
      enqueuedTimeUtcArray: [expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?$/)],
      enqueuedTimeArray: [expect.stringMatching(/\+00:00$/)],
    });
    const [[expires], [enqueued]] = [metadata?.["expiresAtArray"] as [string], metadata?.["enqueuedTimeArray"] as [string]];
    expect(Date.parse(expires) - Date.parse(enqueued)).toBeGreaterThan(0);
  });

  test("gets sequence numbers as objects from a worker of that kind", async () => {
    const { host, send } = await suite.running({
      trigger: MANY_BINARY,
      body: "tell(context.triggerMetadata.sequenceNumberArray);",
      options: { longs: "object" },
    });
    await send(...bodies("x"));
    await until(() => told(host).length === 1);
    expect(told(host)).toEqual([[{ low: 1, high: 0, unsigned: false }]]);
  });
});

describe("a Service Bus function of one message", () => {
  const ONE = "tell([input, context.triggerMetadata.messageId, context.triggerMetadata.deliveryCount]);";

  test("gets an object where the body is JSON, else a text; properties of a JSON object take the place of metadata", async () => {
    const { host, queue, send } = await suite.running({ body: ONE, hostJson: { maxConcurrentCalls: 1 } });
    await send(
      { body: { a: 1 }, messageId: "m1" },
      { body: { MESSAGEID: "other" }, messageId: "m2" },
      { body: Buffer.from("plain"), messageId: "m3" },
    );
    await until(async () => (await suite.server.counts(queue)).completed === 3);
    expect(told(host)).toEqual([
      [{ a: 1 }, "m1", 1],
      [{ MESSAGEID: "other" }, "other", 1],
      ["plain", "m3", 1],
    ]);
  });

  test("gets its bytes with dataType binary, and is abandoned by its failure", async () => {
    const { host, queue, send } = await suite.running({
      trigger: 'dataType: "binary"',
      body: `${ONE} if (context.triggerMetadata.deliveryCount === 1) throw new Error("not yet");`,
    });
    await send({ body: Buffer.of(1, 255), messageId: "m" });
    await until(async () => (await suite.server.counts(queue)).completed === 1);
    expect(told(host)).toEqual([
      [{ hex: "01ff" }, "m", 1],
      [{ hex: "01ff" }, "m", 2],
    ]);
  });

  test("of a topic's subscription gets what is sent to the topic", async () => {
    const topic = `topic-${randomUUID()}`;
    await suite.server.createTopic(topic, { sub: {} });
    const host = await startApp(
      {
        code: `${TELL} app.serviceBusTopic("run", { topicName: "${topic}", subscriptionName: "sub", connection: "BUS", handler: async (input) => tell(input) });`,
      },
      { env: { BUS: suite.server.connectionString } },
    );
    await suite.send(topic, [{ body: { a: 1 } }]);
    await until(() => told(host).length === 1);
    expect(told(host)).toEqual([{ a: 1 }]);
  });
});
