import type { ServiceBusReceivedMessage } from "@azure/service-bus";
import rhea from "rhea";
import { describe, expect, test } from "vitest";
import {
  type Attribute,
  binaryAttribute,
  booleanAttribute,
  doubleAttribute,
  longAttribute,
  type MessageContent,
  nullAttribute,
  stringAttribute,
  timestampAttribute,
} from "../../shared/core/message.ts";
import type { PublishOutcome } from "../../shared/core/ports/publisher.ts";
import { comparable, messageOf, payloadText } from "../contract/support-messages.ts";
import { freePort } from "../services/child.ts";
import { signedToken } from "../services/service-bus/raw-client.ts";
import { receiveBare, useServiceBus } from "./support-service-bus.ts";
import { numbered, receiveAll, texts } from "./support-sources.ts";

const { server, openBroker, openSource, queueOf, bareClient, publish } = useServiceBus();

const BUSY = "com.microsoft:server-busy";
const oks = (outcomes: readonly PublishOutcome[]) => outcomes.map(({ ok }) => ok);
const errorOf = (outcome: PublishOutcome | undefined) => (outcome?.ok === false ? outcome.error : undefined);
const keyed = (payload: string, orderingKey: string): MessageContent => messageOf(payload, { orderingKey });
const kindOf = (kind: string, hex: string, name = kind): Attribute => ({ name, kind, value: Buffer.from(hex, "hex") });

/** What a message is without the system properties that every one has here. */
const plain = (content: MessageContent) => comparable({ ...content, system: [] });

describe("what is published to Service Bus", () => {
  const TYPED: readonly Attribute[] = [
    stringAttribute("text", "é\u0000😀"),
    stringAttribute("", "no name"),
    kindOf("amqp:float", "3fc00000"),
    kindOf("amqp:ubyte", "ff"),
    kindOf("amqp:uint", "ee6b2800"),
    kindOf("amqp:symbol", "73796d"),
    kindOf("amqp:uuid", "00112233445566778899aabbccddeeff"),
    kindOf("amqp:ulong", "ffffffffffffffff"),
    kindOf("amqp:decimal128", "22080000000000000000000000000001"),
    longAttribute("long", -(2n ** 63n)),
    doubleAttribute("double", 1),
    timestampAttribute("time", 253_402_300_800_000n),
    booleanAttribute("yes", true),
    binaryAttribute("bytes", Uint8Array.of(0, 255)),
    nullAttribute("null"),
    // A list of one text and a map of one whole number.
    kindOf("amqp:encoded", "c00401a10178", "list"),
    kindOf("amqp:encoded", "c10602a101615501", "map"),
  ];

  test("keeps the type of every property, to the byte", async () => {
    const queue = await queueOf();
    const { publisher } = await openBroker();
    const content = messageOf("typed", { attributes: TYPED });
    expect(publisher.cannotCarry(content)).toBeUndefined();
    await publish(queue, [content]);
    const [delivery] = await receiveAll(await openSource(queue), 1);
    expect(plain(delivery?.message as MessageContent)).toEqual(plain(content));
  });

  test.each<[string, Partial<MessageContent>]>([
    ["bytes", { payload: Uint8Array.of(0xff, 0, 0xc3) }],
    ["an empty body", { payload: new Uint8Array(0) }],
    ["no body", { payload: new Uint8Array(0), payloadKind: "null" }],
    ["a value", { payload: Buffer.from("a10568656c6c6f", "hex"), payloadKind: "amqp-value" }],
    ["two empty lists", { payload: Uint8Array.of(0x45, 0x45), payloadKind: "amqp-sequence" }],
    [
      "several data sections",
      { payload: Buffer.from("abcdef"), system: [binaryAttribute("amqp:data-lengths", Buffer.from("000000020000000000000004", "hex"))] },
    ],
  ])("keeps a body of %s", async (_, more) => {
    const queue = await queueOf();
    const content = messageOf("", more);
    await publish(queue, [content]);
    const [delivery] = await receiveAll(await openSource(queue), 1);
    expect(plain(delivery?.message as MessageContent)).toEqual(plain(content));
    expect(delivery?.message.system.filter(({ name }) => name === "amqp:data-lengths")).toEqual(content.system);
  });

  test("is what the SDK as it is receives", async () => {
    const queue = await queueOf({ requiresSession: true });
    const system = [
      stringAttribute("amqp:correlation-id", "c-1"),
      stringAttribute("amqp:subject", "made"),
      stringAttribute("amqp:to", "there"),
      stringAttribute("amqp:reply-to", "here"),
      kindOf("amqp:uint", "000186a0", "amqp:ttl"),
    ];
    const attributes = [stringAttribute("Kind", "a"), stringAttribute("kind", "b"), longAttribute("n", 7n), doubleAttribute("d", 0.5)];
    const content = messageOf("hello", { attributes, system, orderingKey: "s-1", contentType: "text/plain" });
    await publish(queue, [{ ...content, messageId: "given" }]);
    const [received] = await receiveBare(await bareClient().acceptSession(queue, "s-1"), 1);
    expect(received).toMatchObject({
      body: Buffer.from("hello"),
      messageId: "given",
      sessionId: "s-1",
      contentType: "text/plain",
      correlationId: "c-1",
      subject: "made",
      to: "there",
      replyTo: "here",
      timeToLive: 100_000,
      applicationProperties: { Kind: "a", kind: "b", n: 7, d: 0.5 },
    } satisfies Partial<ServiceBusReceivedMessage>);
  });

  test("comes from the SDK as it is without a loss", async () => {
    const queue = await queueOf();
    const when = new Date(1_700_000_000_123);
    const { types } = rhea as unknown as { types: { wrap_float(value: number): unknown } };
    await bareClient()
      .createSender(queue)
      .sendMessages({
        body: Buffer.from([123]),
        messageId: "from the SDK",
        contentType: "application/x-test",
        correlationId: "7",
        applicationProperties: {
          Kind: "a",
          kind: "b",
          whole: 5,
          half: 0.5,
          when,
          yes: true,
          nothing: null,
          float: types.wrap_float(1.5) as never,
        },
      });
    const [delivery] = await receiveAll(await openSource(queue), 1);
    expect(delivery?.message).toMatchObject({
      payload: Buffer.from([123]),
      contentType: "application/x-test",
      topic: queue,
      brokerId: queue,
    });
    const held = Object.fromEntries((delivery?.message.attributes ?? []).map(({ name, kind, value }) => [name, [kind, value]]));
    expect(held).toEqual({
      Kind: ["string", "a"],
      kind: ["string", "b"],
      whole: ["amqp:uint", Buffer.from("00000005", "hex")],
      half: ["double", Buffer.from("3fe0000000000000", "hex")],
      when: ["timestamp", Buffer.from(BigInt(when.getTime()).toString(16).padStart(16, "0"), "hex")],
      yes: ["boolean", Uint8Array.of(1)],
      nothing: ["null", new Uint8Array(0)],
      float: ["amqp:float", Buffer.from("3fc00000", "hex")],
    });
    expect(delivery?.message.system).toContainEqual(stringAttribute("amqp:message-id", "from the SDK"));
  });

  test.each(["123", "1e3", "null", "12345678901234567890", "true", " ", "ü".repeat(120)])("keeps the message id %j", async (id) => {
    const queue = await queueOf();
    const own = messageOf("own", { system: [stringAttribute("amqp:message-id", id)] });
    await publish(queue, [
      { ...messageOf("given"), messageId: id },
      { ...own, messageId: "not this one" },
    ]);
    const got = await receiveAll(await openSource(queue), 2);
    for (const { message } of got) expect(message.system).toEqual([stringAttribute("amqp:message-id", id)]);
  });
});

describe("a publisher to Service Bus", () => {
  test("cuts batches by what the link takes", async () => {
    const queue = await queueOf({ maxMessageBytes: 20_000 });
    await publish(
      queue,
      numbered(0, 300).map((payload) => messageOf(payload, { attributes: [stringAttribute("fill", "x".repeat(500))] })),
    );
    const got = await receiveAll(await openSource(queue), 300);
    expect(texts(got)).toEqual(numbered(0, 300));
  });

  test("names the messages that the broker refuses, and sends the others in their order", async () => {
    const queue = await queueOf({ requiresSession: true });
    const { publisher } = await openBroker();
    const messages = [...numbered(0, 40).map((payload) => keyed(payload, "s")), messageOf("without a session"), messageOf("nor this")];
    const outcomes = await publisher.publish(queue, messages);
    expect(oks(outcomes)).toEqual(messages.map(({ orderingKey }) => orderingKey !== ""));
    expect(errorOf(outcomes[40])).toMatchObject({ code: "refused", retryable: false, message: expect.stringContaining("ordering key") });
    expect(texts(await receiveAll(await openSource(queue, { sessions: true }), 40))).toEqual(numbered(0, 40));
  });

  test("halves a batch that is refused until the bad message is alone", async () => {
    const queue = await queueOf();
    const { publisher } = await openBroker();
    await server().injectFault({ kind: "answer-sends", entity: queue, condition: "amqp:not-allowed", times: 2 });
    // Both answers are for batches: the whole, and its first half.
    const outcomes = await publisher.publish(
      queue,
      numbered(0, 8).map((payload) => messageOf(payload)),
    );
    expect(oks(outcomes)).toEqual(Array(8).fill(true));
    await server().injectFault({ kind: "answer-sends", entity: queue, condition: "amqp:not-allowed", times: 4 });
    const again = await publisher.publish(
      queue,
      numbered(8, 16).map((payload) => messageOf(payload)),
    );
    expect(oks(again)).toEqual([false, ...Array(7).fill(true)]);
    expect(texts(await receiveAll(await openSource(queue), 15)).toSorted()).toEqual([...numbered(0, 8), ...numbered(9, 16)].toSorted());
  });

  test("keeps the order of each session, whatever else is published beside", async () => {
    const queue = await queueOf({ requiresSession: true });
    const { publisher } = await openBroker();
    const names = ["a", "b", "ü", "d".repeat(128)];
    for (let call = 0; call < 3; call++) {
      const messages = Array.from({ length: 400 }, (_, i) => keyed(`${call * 400 + i}`, names[i % 4] as string));
      expect(oks(await publisher.publish(queue, messages))).not.toContain(false);
    }
    const client = bareClient();
    for (const [k, name] of names.entries()) {
      const got = await receiveBare(await client.acceptSession(queue, name), 300);
      expect(got.map(({ body }) => Number(String(body)))).toEqual(Array.from({ length: 300 }, (_, i) => 4 * i + k));
    }
  });

  test("refuses what is larger than its limit, and names what the entity does not take", async () => {
    const queue = await queueOf({ maxMessageBytes: 100_000 });
    const { publisher } = await openBroker({ maxMessageBytes: 200_000 });
    const [large, entity, small] = [200_001, 150_000, 10].map((length) => messageOf("", { payload: new Uint8Array(length) }));
    const outcomes = await publisher.publish(queue, [large, entity, small] as MessageContent[]);
    expect(errorOf(outcomes[0])).toMatchObject({ code: "too_large", message: expect.stringContaining("maxMessageBytes") });
    expect(errorOf(outcomes[1])).toMatchObject({ code: "too_large", retryable: false });
    expect(oks(outcomes)).toEqual([false, false, true]);
    await expect(
      publisher.publish(
        queue,
        Array.from({ length: 10_001 }, () => messageOf("x")),
      ),
    ).rejects.toMatchObject({ code: "too_large", retryable: false });
  });

  test("sends a message alone that is larger than any batch, where the entity takes such", async () => {
    const queue = await queueOf({ maxMessageBytes: 10_000_000 });
    const { publisher } = await openBroker({ maxMessageBytes: 9_000_000 });
    const large = messageOf("", { payload: Buffer.alloc(8_000_000, 7), attributes: [kindOf("amqp:float", "3fc00000")] });
    const outcomes = await publisher.publish(queue, [messageOf("before"), large, messageOf("behind")]);
    expect(oks(outcomes)).toEqual([true, true, true]);
    const got = await receiveAll(await openSource(queue), 3);
    expect(got.map(({ message }) => plain(message))).toEqual([messageOf("before"), large, messageOf("behind")].map(plain));
  });

  test("waits for a broker that is busy, and gives up on one that stays so, in bounded time", async () => {
    const queue = await queueOf();
    const { publisher } = await openBroker();
    await server().injectFault({ kind: "answer-sends", entity: queue, condition: BUSY, times: 2 });
    expect(oks(await publisher.publish(queue, [messageOf("patient")]))).toEqual([true]);
    await server().injectFault({ kind: "answer-sends", entity: queue, condition: BUSY, times: 1_000 });
    const many = numbered(0, 600).map((payload) => messageOf(payload, { attributes: [stringAttribute("fill", "x".repeat(1_000))] }));
    const outcomes = await publisher.publish(queue, many);
    expect(oks(outcomes)).not.toContain(true);
    expect(errorOf(outcomes[0])).toMatchObject({
      code: "broker_unavailable",
      retryable: true,
      message: expect.stringContaining("throttled"),
    });
    expect(errorOf(outcomes.at(-1))).toMatchObject({
      code: "broker_unavailable",
      retryable: true,
      message: expect.stringContaining("not sent"),
    });
    await server().clearFaults();
    expect(oks(await publisher.publish(queue, [messageOf("again")]))).toEqual([true]);
    expect(await server().counts(queue)).toMatchObject({ enqueued: 2 });
  });

  test("says of a full entity that it may be published to later", async () => {
    const queue = await queueOf({ maxMessages: 2 });
    const { publisher } = await openBroker();
    await publish(queue, ["one", "two"]);
    const [outcome] = await publisher.publish(queue, [messageOf("three")]);
    expect(errorOf(outcome)).toMatchObject({ code: "broker_unavailable", retryable: true, message: expect.stringContaining("full") });
  });

  test.each([
    { when: "before", duplicateDetectionMs: 0, enqueued: 1 },
    { when: "after", duplicateDetectionMs: 0, enqueued: 2 },
    { when: "after", duplicateDetectionMs: 60_000, enqueued: 1 },
  ] as const)(
    "sends again what was cut off $when it took effect: $enqueued there, with duplicate detection $duplicateDetectionMs",
    async ({ when, duplicateDetectionMs, enqueued }) => {
      const queue = await queueOf({ duplicateDetectionMs });
      const { publisher } = await openBroker();
      await server().injectFault({ kind: "drop-at", event: "transfer", when, entity: queue });
      expect(oks(await publisher.publish(queue, [{ ...messageOf("one"), messageId: "deterministic" }]))).toEqual([true]);
      expect(await server().counts(queue)).toMatchObject({ enqueued });
    },
  );

  test("goes on after its connection was cut", async () => {
    const queue = await queueOf();
    const { publisher } = await openBroker();
    await publisher.publish(queue, [messageOf("one")]);
    for (let i = 0; i < 3; i++) {
      await server().dropConnections();
      expect(oks(await publisher.publish(queue, [messageOf("more")]))).toEqual([true]);
    }
  });

  test("gives up on a broker that answers nothing, in bounded time, and goes on when it answers", { timeout: 90_000 }, async () => {
    const queue = await queueOf();
    const { publisher } = await openBroker();
    await server().beginOutage({ kind: "be-silent", forMs: 60_000 });
    await expect(publisher.publish(queue, [messageOf("one")])).rejects.toMatchObject({
      code: "broker_unavailable",
      retryable: true,
      message: expect.stringContaining("did not answer"),
    });
    await server().clearFaults();
    expect(oks(await publisher.publish(queue, [messageOf("two")]))).toEqual([true]);
  });
});

describe("what keeps a publisher from Service Bus", () => {
  const failureOf = async (settings: Record<string, unknown>, queue: string) => {
    const { publisher } = await openBroker(settings);
    return publisher.publish(queue, [messageOf("x")]).then(
      ([outcome]) => errorOf(outcome),
      (error: unknown) => error,
    );
  };
  const keyOf = (part: string) => new RegExp(`${part}=([^;]+)`).exec(server().connectionString)?.[1] as string;

  test("is named: a missing entity", async () => {
    expect(await failureOf({}, "nowhere")).toMatchObject({
      code: "topic_missing",
      retryable: false,
      message: expect.stringContaining("create"),
    });
  });

  test("is named: a wrong key, which is not told", async () => {
    const connectionString = server().connectionString.replace(keyOf("SharedAccessKey"), "c2VjcmV0LWtleQ==");
    const failure = await failureOf({ connectionString }, await queueOf());
    expect(failure).toMatchObject({ code: "access_denied", retryable: false, message: expect.stringContaining("correct the key") });
    expect(String(failure)).not.toContain("c2VjcmV0LWtleQ==");
  });

  test("is named: a signature that has expired", async () => {
    const queue = await queueOf();
    const resource = `sb://127.0.0.1:${server().port}/${queue}`;
    const signature = signedToken(resource, keyOf("SharedAccessKeyName"), keyOf("SharedAccessKey"), -10);
    const connectionString = `Endpoint=sb://127.0.0.1:${server().port};SharedAccessSignature=${signature};UseDevelopmentEmulator=true`;
    expect(await failureOf({ connectionString }, queue)).toMatchObject({ code: "access_denied", retryable: false });
  });

  test("is named: a connection string of another entity", async () => {
    const connectionString = `${server().connectionString};EntityPath=other`;
    expect(await failureOf({ connectionString }, await queueOf())).toMatchObject({
      code: "refused",
      retryable: false,
      message: expect.stringContaining("no EntityPath"),
    });
  });

  test("is named: nobody who listens", async () => {
    const connectionString = server().connectionString.replace(`:${server().port}`, `:${await freePort()}`);
    expect(await failureOf({ connectionString }, "orders")).toMatchObject({
      code: "broker_unavailable",
      retryable: true,
      message: expect.stringContaining("can be reached"),
    });
  });

  test("is told at the opening: settings that are none", async () => {
    await expect(openBroker({ connectionString: "Endpoint=sb://x.example;secret" })).rejects.toMatchObject({
      code: "settings_invalid",
      message: expect.stringContaining("PERSISTOR_SERVICE_BUS is no connection string"),
    });
    await expect(openBroker({ fullyQualifiedNamespace: "x.example" })).rejects.toMatchObject({ code: "settings_invalid" });
    await expect(openBroker({ connectionSting: "x" })).rejects.toMatchObject({ code: "settings_invalid" });
  });

  test("is what a message has that Service Bus does not carry", async () => {
    const queue = await queueOf();
    const { publisher } = await openBroker();
    const bad = [
      messageOf("x", { key: Uint8Array.of(1) }),
      messageOf("x", { orderingKey: "k".repeat(129) }),
      messageOf("x", { attributes: [stringAttribute("a", "1"), stringAttribute("a", "2")] }),
      messageOf("x", { attributes: [stringAttribute("big", "x".repeat(64_001))] }),
      messageOf("x", { system: [stringAttribute("kafka:timestamp-ms", "1")] }),
    ];
    const outcomes = await publisher.publish(queue, [...bad, messageOf("good")]);
    for (const [i, content] of bad.entries()) {
      const reason = publisher.cannotCarry(content);
      expect(errorOf(outcomes[i])).toMatchObject({ code: "unsupported", message: expect.stringContaining(String(reason)) });
    }
    expect(payloadText((await receiveAll(await openSource(queue), 1))[0]?.message as MessageContent)).toBe("good");
    const adapted = publisher.adapt(messageOf("x", { key: Buffer.from("kéy") }));
    expect([adapted.key, adapted.orderingKey]).toEqual([null, "kéy"]);
  });
});
