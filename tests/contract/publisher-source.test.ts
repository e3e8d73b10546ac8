import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Broker, brokers } from "../../shared/adapters/registry.ts";
import { contentSize, PAYLOAD_KINDS } from "../../shared/core/message.ts";
import type { Delivery, Source } from "../../shared/core/ports/source.ts";
import { anyContent, comparable, messageOf, NASTY_ATTRIBUTES, payloadText } from "./support-messages.ts";
import { type BrokerFixture, describeAdapters } from "./support-ports.ts";

const MANY = { maxMessages: 1000, maxBytes: 32_000_000 };
const AT_ONCE = { ...MANY, maxWaitMs: 0 };
const SHORT_LEASE_MS = 60;
const LONG_LEASE_MS = 60_000;

const textsOf = (deliveries: readonly Delivery[]) => deliveries.map(({ message }) => payloadText(message));
const texts = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `m${from + i}`);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Receives until there are `count`, however many calls that takes. */
async function receiveCount(source: Source, count: number): Promise<Delivery[]> {
  const all: Delivery[] = [];
  while (all.length < count) {
    const more = await source.receive({ ...MANY, maxMessages: count - all.length, maxWaitMs: 5000 });
    if (more.length === 0) break;
    all.push(...more);
  }
  return all;
}

await describeAdapters("broker", "brokers", Object.keys(brokers), (harness) => {
  let fixture: BrokerFixture;
  let broker: Broker;
  let source: Source;

  beforeEach(async () => {
    fixture = await harness.fresh();
    broker = fixture.broker;
    source = await openSource("orders-persistor");
  });
  afterEach(() => fixture.dispose());

  const openSource = async (subscription: string, on = broker) => {
    await fixture.prepare?.("orders", subscription);
    return on.openSource({ id: "orders-id", topic: "orders", subscription });
  };
  const publish = (payloads: readonly string[]) =>
    broker.publisher.publish(
      "orders",
      payloads.map((payload) => messageOf(payload)),
    );

  test("delivers what was published, in order, with identity, topic and rising times", async () => {
    const beforeUs = (Date.now() - 1) * 1000;
    const outcomes = await publish(texts(0, 50));
    await publish(texts(50, 60));
    const deliveries = await receiveCount(source, 60);
    expect(textsOf(deliveries)).toEqual(texts(0, 60));
    const ids = deliveries.map(({ message }) => message.brokerMessageId);
    expect(new Set(ids).size).toBe(60);
    expect(outcomes.map((outcome) => outcome.ok && outcome.messageId)).toEqual(ids.slice(0, 50));
    deliveries.forEach(({ message, attempt }, i) => {
      expect(message).toMatchObject({ brokerId: "orders-id", topic: "orders" });
      expect(attempt).toBe(1);
      expect(message.publishTimeUs).toBeGreaterThanOrEqual(i === 0 ? beforeUs : (deliveries[i - 1] as Delivery).message.publishTimeUs);
    });
  });

  test("carries nasty attributes and every kind of payload unaltered, or says what it cannot carry", async () => {
    const contents = PAYLOAD_KINDS.map((payloadKind, i) =>
      messageOf(payloadKind === "null" ? "" : "\u0000\u0001 bytes", {
        payloadKind,
        attributes: i % 2 === 0 ? NASTY_ATTRIBUTES : [],
        system: i % 2 === 1 ? NASTY_ATTRIBUTES : [],
        key: i === 0 ? new Uint8Array(0) : i === 1 ? null : Uint8Array.of(0, 255),
        orderingKey: i === 2 ? "kéy\u0000😀" : "",
        contentType: "application/json; charset=utf-8",
      }),
    ).concat(messageOf(""));
    const carried = contents.filter((content) => broker.publisher.cannotCarry(content) === undefined);
    await broker.publisher.publish("orders", carried);
    const deliveries = await receiveCount(source, carried.length);
    expect(deliveries.map(({ message }) => comparable(message))).toEqual(carried.map(comparable));
  });

  test("carries any content that it says it can, unaltered", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyContent, { minLength: 1, maxLength: 20 }), async (contents) => {
        const carried = contents.filter((content) => broker.publisher.cannotCarry(content) === undefined);
        await broker.publisher.publish("orders", carried);
        const deliveries = await receiveCount(source, carried.length);
        expect(deliveries.map(({ message }) => comparable(message))).toEqual(carried.map(comparable));
        expect(await source.acknowledge(deliveries)).toBe(carried.length);
      }),
      { numRuns: 25 },
    );
  });

  test("carries a message as large as its limit and refuses only that which is larger", async () => {
    const { maxMessageBytes } = broker.publisher.limits;
    const large = messageOf("", { payload: new Uint8Array(maxMessageBytes).fill(7) });
    const tooLarge = messageOf("", { payload: new Uint8Array(maxMessageBytes + 1) });
    expect(await broker.publisher.publish("orders", [large])).toMatchObject([{ ok: true }]);
    const outcomes = await broker.publisher.publish("orders", [messageOf("a"), tooLarge, messageOf("b")]);
    expect(outcomes).toMatchObject([{ ok: true }, { ok: false, error: { code: "too_large", retryable: false } }, { ok: true }]);
    const deliveries = await receiveCount(source, 3);
    expect(comparable((deliveries[0] as Delivery).message)).toEqual(comparable(large));
    expect(textsOf(deliveries.slice(1))).toEqual(["a", "b"]);
    expect(outcomes.flatMap((outcome) => (outcome.ok ? outcome.messageId : []))).toEqual(
      deliveries.slice(1).map(({ message }) => message.brokerMessageId),
    );
  });

  test("publishing nothing does nothing", async () => {
    expect(await publish([])).toEqual([]);
    expect(await source.receive(AT_ONCE)).toEqual([]);
  });

  test("gives every message of concurrent publishers once, each publisher's in order", async () => {
    const publishers = Array.from({ length: 8 }, (_, p) => p);
    await Promise.all(
      publishers.map(async (p) => {
        for (let i = 0; i < 20; i++) await publish([`${p}-${i}-a`, `${p}-${i}-b`]);
      }),
    );
    const got = textsOf(await receiveCount(source, 320));
    for (const p of publishers) {
      const expected = Array.from({ length: 20 }, (_, i) => [`${p}-${i}-a`, `${p}-${i}-b`]).flat();
      expect(got.filter((text) => text.startsWith(`${p}-`))).toEqual(expected);
    }
    expect(await source.receive(AT_ONCE)).toEqual([]);
  });

  test("receives no more messages and bytes than asked, but always one", async () => {
    await publish(["x".repeat(100), "y".repeat(100), "z".repeat(100)]);
    expect(textsOf(await source.receive({ maxMessages: 10, maxBytes: 10, maxWaitMs: 1000 }))).toEqual(["x".repeat(100)]);
    const size = contentSize(messageOf("y".repeat(100)));
    expect(await source.receive({ maxMessages: 10, maxBytes: 2 * size - 1, maxWaitMs: 1000 })).toHaveLength(1);
    expect(await source.receive({ maxMessages: 10, maxBytes: 2 * size, maxWaitMs: 50 })).toHaveLength(1);
    await publish(texts(0, 7));
    expect(textsOf(await source.receive({ ...MANY, maxMessages: 3, maxWaitMs: 5000 }))).toEqual(["m0", "m1", "m2"]);
  });

  test("a waiting receive gets what is published meanwhile, and returns as soon as it is full", async () => {
    const waiting = source.receive({ ...MANY, maxMessages: 3, maxWaitMs: 30_000 });
    await publish(["m0"]);
    await sleep(30);
    await publish(["m1", "m2", "m3"]);
    expect(textsOf(await waiting)).toEqual(["m0", "m1", "m2"]);
  });

  test("a waiting receive ends with nothing when its time is over", async () => {
    expect(await source.receive({ ...MANY, maxWaitMs: 30 })).toEqual([]);
  });

  test("an aborted receive hands over what it has", async () => {
    const abort = new AbortController();
    const waiting = source.receive({ ...MANY, maxWaitMs: 30_000, signal: abort.signal });
    await publish(["m0"]);
    await sleep(50);
    abort.abort();
    expect(textsOf(await waiting)).toEqual(["m0"]);
    expect(await source.receive({ ...MANY, maxWaitMs: 30_000, signal: abort.signal })).toEqual([]);
  });

  test("leaves a delivery alone while its lease holds, and gives it again when that has ended", async () => {
    await publish(["m0", "m1"]);
    const first = await receiveCount(source, 2);
    expect(await source.receive(AT_ONCE)).toEqual([]);
    await source.extend(first.slice(0, 1), SHORT_LEASE_MS);
    const [again, ...others] = await receiveCount(source, 1);
    expect(others).toEqual([]);
    expect(again).toMatchObject({ attempt: 2, message: { brokerMessageId: first[0]?.message.brokerMessageId } });
    expect(await source.receive(AT_ONCE)).toEqual([]);
  });

  test("a lost lease settles nothing: not by acknowledging, releasing or prolonging", async () => {
    await publish(["m0"]);
    const lost = await receiveCount(source, 1);
    await source.release(lost, 0);
    const held = await receiveCount(source, 1);
    expect(held[0]?.attempt).toBe(2);
    expect(await source.acknowledge(lost)).toBe(0);
    await source.release(lost, 0);
    await source.extend(lost, 1);
    expect(await source.receive({ ...MANY, maxWaitMs: 30 })).toEqual([]);
    expect(await source.acknowledge(held)).toBe(1);
  });

  test("a prolonged lease outlasts the short one before", async () => {
    await publish(["m0"]);
    const held = await receiveCount(source, 1);
    await source.extend(held, SHORT_LEASE_MS);
    await source.extend(held, LONG_LEASE_MS);
    expect(await source.receive({ ...MANY, maxWaitMs: 2 * SHORT_LEASE_MS })).toEqual([]);
    expect(await source.acknowledge(held)).toBe(1);
  });

  test("an acknowledged delivery never comes again and counts once", async () => {
    await publish(texts(0, 10));
    const deliveries = await receiveCount(source, 10);
    const [even, odd] = [0, 1].map((rest) => deliveries.filter((_, i) => i % 2 === rest)) as [Delivery[], Delivery[]];
    expect(await source.acknowledge(even)).toBe(5);
    expect(await source.acknowledge([...even, ...even])).toBe(0);
    await source.extend(deliveries, SHORT_LEASE_MS);
    const again = await receiveCount(source, 5);
    expect(textsOf(again)).toEqual(textsOf(odd));
    expect(await source.acknowledge([...again, ...again])).toBe(5);
    expect(await source.receive({ ...MANY, maxWaitMs: 2 * SHORT_LEASE_MS })).toEqual([]);
  });

  test("a released delivery comes again, at once or after its delay", async () => {
    await publish(["m0", "m1"]);
    const [first, second] = await receiveCount(source, 2);
    await source.release([first as Delivery], 100_000);
    await source.release([second as Delivery], 0);
    expect(textsOf(await receiveCount(source, 1))).toEqual(["m1"]);
    expect(await source.receive(AT_ONCE)).toEqual([]);
    await publish(["m2"]);
    const [third] = await receiveCount(source, 1);
    await source.release([third as Delivery], SHORT_LEASE_MS);
    expect(await source.receive(AT_ONCE)).toEqual([]);
    expect(textsOf(await receiveCount(source, 1))).toEqual(["m2"]);
  });

  test("a release wakes a receive that waits", async () => {
    await publish(["m0"]);
    const held = await receiveCount(source, 1);
    const waiting = source.receive({ ...MANY, maxMessages: 1, maxWaitMs: 30_000 });
    await source.release(held, 0);
    expect(textsOf(await waiting)).toEqual(["m0"]);
  });

  test("gives each subscription all messages, and two sources of one subscription each message once", async () => {
    const other = await openSource("other");
    const twin = await openSource("orders-persistor");
    await publish(texts(0, 20));
    expect(textsOf(await receiveCount(other, 20))).toEqual(texts(0, 20));
    const halves = [await receiveCount(source, 10), await receiveCount(twin, 10)];
    expect(textsOf(halves.flat())).toEqual(texts(0, 20));
    expect(await twin.acknowledge(halves[0] as Delivery[])).toBe(10);
    expect(await other.acknowledge(halves[1] as Delivery[])).toBe(0);
  });

  test("keeps messages, leases, attempts and acknowledgements over a reopening", async () => {
    await publish(texts(0, 4));
    const [acknowledged, leased, released] = await receiveCount(source, 3);
    await source.acknowledge([acknowledged as Delivery]);
    await source.release([released as Delivery], 0);
    broker = await fixture.reopen();
    source = await openSource("orders-persistor");
    const again = await receiveCount(source, 2);
    expect(again.map(({ message, attempt }) => [payloadText(message), attempt])).toEqual([
      ["m2", 2],
      ["m3", 1],
    ]);
    expect(await source.receive(AT_ONCE)).toEqual([]);
    expect(await source.acknowledge([...again, leased as Delivery])).toBe(3);
    await publish(["m4"]);
    const [last] = await receiveCount(source, 1);
    const ids = [acknowledged, leased, released, ...again, last].map((delivery) => Number(delivery?.message.sequence));
    expect(Math.max(...ids)).toBe(Number(last?.message.sequence));
  });

  test("refuses names that are none, naming the rule", async () => {
    for (const topic of ["", "../x", "a/b", "-a", "a b", "ü", "x".repeat(256), "a\u0000"]) {
      await expect(broker.publisher.publish(topic, [messageOf("x")])).rejects.toMatchObject({ code: "refused", retryable: false });
    }
  });

  test("a closed broker says broker_unavailable, and ends a receive that waits", async () => {
    const waiting = source.receive({ ...MANY, maxWaitMs: 30_000 });
    await sleep(30);
    await broker.close();
    expect(await waiting).toEqual([]);
    await expect(publish(["x"])).rejects.toMatchObject({ code: "broker_unavailable", retryable: true });
    await expect(source.receive(AT_ONCE)).rejects.toMatchObject({ code: "broker_unavailable", retryable: true });
  });
});
