import fc from "fast-check";
import { afterEach, beforeEach, expect, type TestContext, test } from "vitest";
import { type Broker, brokers } from "../../shared/adapters/registry.ts";
import { contentSize, type MessageContent, PAYLOAD_KINDS } from "../../shared/core/message.ts";
import type { Delivery, Source } from "../../shared/core/ports/source.ts";
import { anyContent, comparable, messageOf, NASTY_ATTRIBUTES, payloadText } from "./support-messages.ts";
import { type BrokerFixture, type BrokerGap, describeAdapters } from "./support-ports.ts";

const MANY = { maxMessages: 1000, maxBytes: 32_000_000 };
const AT_ONCE = { ...MANY, maxWaitMs: 0 };
const SHORT_LEASE_MS = 500;
const WHOLE_SECOND_MS = 1000;
const LONG_LEASE_MS = 60_000;
/** Long after what was published has come, on a machine that has much to do. */
const DELIVERY_MS = 500;

const textsOf = (deliveries: readonly Delivery[]) => deliveries.map(({ message }) => payloadText(message));
const texts = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `m${from + i}`);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The same content as brokers with few features carry it: bytes and text attributes. */
function plainOf(content: MessageContent): MessageContent {
  const attributes = content.attributes.filter(({ kind }) => kind === "string");
  return { ...content, payloadKind: "bytes", attributes, system: [], key: null, contentType: "" };
}

/** Receives until there are `count`, however many calls that takes. */
async function receiveCount(source: Source, count: number): Promise<Delivery[]> {
  const all: Delivery[] = [];
  while (all.length < count) {
    const more = await source.receive({ ...MANY, maxMessages: count - all.length, maxWaitMs: 30_000 });
    if (more.length === 0) break;
    all.push(...more);
  }
  return all;
}

await describeAdapters("broker", "brokers", Object.keys(brokers), (harness) => {
  let fixture: BrokerFixture;
  let broker: Broker;
  let source: Source;
  let topic: string;

  beforeEach(async () => {
    fixture = await harness.fresh();
    broker = fixture.broker;
    topic = fixture.topic ?? "orders";
    source = await openSource("orders-persistor");
  });
  afterEach(() => fixture.dispose());

  const openSource = async (subscription: string, on = broker) => {
    await fixture.prepare?.(topic, subscription);
    return on.openSource({ id: "orders-id", topic, subscription });
  };
  /** Whether the broker cannot show this; the reason is written beside the test. */
  const lacks = (context: TestContext, gap: BrokerGap): boolean => {
    const reason = fixture.gaps?.[gap];
    if (reason !== undefined) void context.annotate(`relaxed, ${gap}: ${reason}`);
    return reason !== undefined;
  };
  const skipWhereLacking = (context: TestContext, gap: BrokerGap): void => {
    context.skip(fixture.gaps?.[gap] !== undefined, `${gap}: ${fixture.gaps?.[gap]}`);
  };
  /** As they are, or sorted where the broker has no order. */
  const ordered = (context: TestContext, values: readonly string[]): string[] =>
    lacks(context, "order") ? values.toSorted() : values.slice();
  const comparables = (context: TestContext, contents: readonly MessageContent[], ownProperties: ReadonlySet<string>): string[] => {
    const isMap = lacks(context, "attribute order");
    const inOrder = ({ attributes, system, ...rest }: MessageContent): MessageContent => ({
      ...rest,
      attributes: isMap ? attributes.toSorted((a, b) => (a.name < b.name ? -1 : 1)) : attributes,
      system: system.filter(({ name }) => !ownProperties.has(name)),
    });
    const texts = contents.map((content) => JSON.stringify(comparable(inOrder(content))));
    return lacks(context, "order between keys") ? texts.toSorted() : ordered(context, texts);
  };
  /** Expects what was received to be what was sent, but for properties that the broker adds itself. */
  const expectUnaltered = (context: TestContext, got: readonly MessageContent[], sent: readonly MessageContent[]): void => {
    const sentNames = new Set(sent.flatMap(({ system }) => system.map(({ name }) => name)));
    const gotNames = got.flatMap(({ system }) => system.map(({ name }) => name));
    const own = new Set(lacks(context, "own properties") ? gotNames.filter((name) => !sentNames.has(name)) : []);
    expect(comparables(context, got, own)).toEqual(comparables(context, sent, own));
  };
  const shortLeaseMs = (context: TestContext) => (lacks(context, "short leases") ? WHOLE_SECOND_MS : SHORT_LEASE_MS);
  const publish = (payloads: readonly string[]) =>
    broker.publisher.publish(
      topic,
      payloads.map((payload) => messageOf(payload)),
    );

  test("delivers what was published, in order, with identity, topic and rising times", async (context) => {
    const beforeUs = (Date.now() - 1) * 1000;
    const outcomes = await publish(texts(0, 50));
    await publish(texts(50, 60));
    const deliveries = await receiveCount(source, 60);
    expect(ordered(context, textsOf(deliveries))).toEqual(ordered(context, texts(0, 60)));
    const ids = deliveries.map(({ message }) => message.brokerMessageId);
    expect(new Set(ids).size).toBe(60);
    const first = texts(0, 50).map((text) => ids[textsOf(deliveries).indexOf(text)]);
    if (!lacks(context, "ids of publications")) expect(outcomes.map((outcome) => outcome.ok && outcome.messageId)).toEqual(first);
    const isRising = !lacks(context, "order");
    deliveries.forEach(({ message, attempt }, i) => {
      expect(message).toMatchObject({ brokerId: "orders-id", topic });
      expect(attempt).toBe(1);
      const before = isRising && i > 0 ? (deliveries[i - 1] as Delivery).message.publishTimeUs : beforeUs;
      expect(message.publishTimeUs).toBeGreaterThanOrEqual(before);
    });
  });

  test("carries nasty attributes and every kind of payload unaltered, or says what it cannot carry", async (context) => {
    const contents = PAYLOAD_KINDS.map((payloadKind, i) =>
      messageOf(payloadKind === "null" ? "" : "\u0000\u0001 bytes", {
        payloadKind,
        attributes: i % 2 === 0 ? NASTY_ATTRIBUTES : [],
        system: i % 2 === 1 ? NASTY_ATTRIBUTES : [],
        key: i === 0 ? new Uint8Array(0) : i === 1 ? null : Uint8Array.of(0, 255),
        orderingKey: i === 2 ? "kéy\u0000😀" : "",
        contentType: "application/json; charset=utf-8",
      }),
    )
      .concat(messageOf(""), messageOf("key", { orderingKey: "kéy\u0000😀" }))
      .concat(NASTY_ATTRIBUTES.map((attribute) => messageOf("one", { attributes: [attribute] })));
    const carried = contents.filter((content) => broker.publisher.cannotCarry(content) === undefined);
    expect(carried.length).toBeGreaterThan(5);
    await broker.publisher.publish(topic, carried);
    const deliveries = await receiveCount(source, carried.length);
    const got = deliveries.map(({ message }) => message);
    expectUnaltered(context, got, carried);
  });

  test("refuses each message that it says it cannot carry, and sends the others", async () => {
    const contents = [messageOf("a"), ...NASTY_ATTRIBUTES.map((attribute) => messageOf("x", { system: [attribute] })), messageOf("b")];
    const outcomes = await broker.publisher.publish(topic, contents);
    contents.forEach((content, i) => {
      const reason = broker.publisher.cannotCarry(content);
      if (reason === undefined) expect(outcomes[i]).toMatchObject({ ok: true });
      else
        expect(outcomes[i]).toMatchObject({
          ok: false,
          error: { code: "unsupported", retryable: false, message: expect.stringContaining(reason) },
        });
    });
    expect([outcomes[0]?.ok, outcomes.at(-1)?.ok]).toEqual([true, true]);
    const sent = outcomes.filter(({ ok }) => ok).length;
    expect(await receiveCount(source, sent)).toHaveLength(sent);
  });

  test("leaves content as it is that it can carry, and makes of any other what it carries, or still names it", () => {
    const { publisher } = broker;
    fc.assert(
      fc.property(anyContent, (content) => {
        for (const each of [content, plainOf(content), { ...plainOf(content), contentType: content.contentType, key: content.key }]) {
          const adapted = publisher.adapt(each);
          if (publisher.cannotCarry(each) === undefined) expect(comparable(adapted)).toEqual(comparable(each));
          expect(comparable(publisher.adapt(adapted))).toEqual(comparable(adapted));
          expect([adapted.payloadKind, adapted.payload]).toEqual([each.payloadKind, each.payload]);
          const kept = adapted.attributes.slice(0, each.attributes.length);
          expect(kept).toEqual(each.attributes);
        }
      }),
    );
  });

  test("carries any content that it says it can, unaltered", async (context) => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyContent, { minLength: 1, maxLength: 20 }), async (contents) => {
        const carried = contents
          .flatMap((content) => [content, plainOf(content)])
          .filter((content) => broker.publisher.cannotCarry(content) === undefined);
        await broker.publisher.publish(topic, carried);
        const deliveries = await receiveCount(source, carried.length);
        const got = deliveries.map(({ message }) => message);
        expectUnaltered(context, got, carried);
        expect(await source.acknowledge(deliveries)).toBe(carried.length);
      }),
      { numRuns: 25 },
    );
  });

  test("carries a message as large as its limit and refuses only that which is larger", async (context) => {
    const { maxMessageBytes } = broker.publisher.limits;
    const large = messageOf("", { payload: new Uint8Array(maxMessageBytes).fill(7) });
    const tooLarge = messageOf("", { payload: new Uint8Array(maxMessageBytes + 1) });
    expect(await broker.publisher.publish(topic, [large])).toMatchObject([{ ok: true }]);
    const outcomes = await broker.publisher.publish(topic, [messageOf("a"), tooLarge, messageOf("b")]);
    expect(outcomes).toMatchObject([{ ok: true }, { ok: false, error: { code: "too_large", retryable: false } }, { ok: true }]);
    const deliveries = await receiveCount(source, 3);
    const [largest, ...small] = deliveries.toSorted((a, b) => b.message.payload.length - a.message.payload.length);
    expectUnaltered(context, [(largest as Delivery).message], [large]);
    expect(ordered(context, textsOf(small))).toEqual(["a", "b"]);
    const ids = small.map(({ message }) => message.brokerMessageId);
    if (lacks(context, "ids of publications")) return;
    expect(ordered(context, ids)).toEqual(
      ordered(
        context,
        outcomes.flatMap((outcome) => (outcome.ok ? outcome.messageId : [])),
      ),
    );
  });

  test("publishing nothing does nothing", async () => {
    expect(await publish([])).toEqual([]);
    expect(await source.receive(AT_ONCE)).toEqual([]);
  });

  test("gives every message of concurrent publishers once, each publisher's in order", async (context) => {
    const publishers = Array.from({ length: 8 }, (_, p) => p);
    await Promise.all(
      publishers.map(async (p) => {
        for (let i = 0; i < 20; i++) await publish([`${p}-${i}-a`, `${p}-${i}-b`]);
      }),
    );
    const got = textsOf(await receiveCount(source, 320));
    for (const p of publishers) {
      const expected = Array.from({ length: 20 }, (_, i) => [`${p}-${i}-a`, `${p}-${i}-b`]).flat();
      const own = got.filter((text) => text.startsWith(`${p}-`));
      expect(ordered(context, own)).toEqual(ordered(context, expected));
    }
    expect(await source.receive(AT_ONCE)).toEqual([]);
  });

  test("receives no more messages and bytes than asked, but always one", async () => {
    await publish(["x".repeat(100), "y".repeat(100), "z".repeat(100)]);
    expect(await source.receive({ maxMessages: 10, maxBytes: 10, maxWaitMs: 5000 })).toHaveLength(1);
    const size = contentSize(messageOf("y".repeat(100)));
    expect(await source.receive({ maxMessages: 10, maxBytes: 2 * size - 1, maxWaitMs: 1000 })).toHaveLength(1);
    expect(await source.receive({ maxMessages: 10, maxBytes: 2 * size, maxWaitMs: 50 })).toHaveLength(1);
    await publish(texts(0, 7));
    expect(await source.receive({ ...MANY, maxMessages: 3, maxWaitMs: 5000 })).toHaveLength(3);
  });

  test("a waiting receive gets what is published meanwhile, and returns as soon as it is full", async (context) => {
    const waiting = source.receive({ ...MANY, maxMessages: 3, maxWaitMs: 30_000 });
    await publish(["m0"]);
    await sleep(30);
    await publish(["m1", "m2", "m3"]);
    const got = textsOf(await waiting);
    expect(got).toHaveLength(3);
    if (!lacks(context, "order")) expect(got).toEqual(["m0", "m1", "m2"]);
  });

  test("a waiting receive ends with nothing when its time is over", async () => {
    expect(await source.receive({ ...MANY, maxWaitMs: 30 })).toEqual([]);
  });

  test("an aborted receive hands over what it has", async () => {
    const abort = new AbortController();
    await publish(["the first is the one that waits for connections"]);
    await source.acknowledge(await receiveCount(source, 1));
    const waiting = source.receive({ ...MANY, maxWaitMs: 30_000, signal: abort.signal });
    await publish(["m0"]);
    await sleep(fixture.deliveryMs ?? DELIVERY_MS);
    abort.abort();
    expect(textsOf(await waiting)).toEqual(["m0"]);
    expect(await source.receive({ ...MANY, maxWaitMs: 30_000, signal: abort.signal })).toEqual([]);
  });

  test("leaves a delivery alone while its lease holds, and gives it again when that has ended", async (context) => {
    await publish(["m0", "m1"]);
    const first = await receiveCount(source, 2);
    expect(await source.receive(AT_ONCE)).toEqual([]);
    await source.extend(first.slice(0, 1), shortLeaseMs(context));
    const [again, ...others] = await receiveCount(source, 1);
    expect(others).toEqual([]);
    expect(again).toMatchObject({ attempt: 2, message: { brokerMessageId: first[0]?.message.brokerMessageId } });
    expect(await source.receive(AT_ONCE)).toEqual([]);
  });

  test("a lost lease settles nothing: not by acknowledging, releasing or prolonging", async (context) => {
    skipWhereLacking(context, "lost leases");
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

  test("a prolonged lease outlasts the short one before", async (context) => {
    await publish(["m0"]);
    const held = await receiveCount(source, 1);
    await source.extend(held, shortLeaseMs(context));
    await source.extend(held, LONG_LEASE_MS);
    expect(await source.receive({ ...MANY, maxWaitMs: 2 * shortLeaseMs(context) })).toEqual([]);
    expect(await source.acknowledge(held)).toBe(1);
  });

  test("an acknowledged delivery never comes again and counts once", async (context) => {
    const isCounted = !lacks(context, "count of acknowledged");
    await publish(texts(0, 10));
    const deliveries = await receiveCount(source, 10);
    const [even, odd] = [0, 1].map((rest) => deliveries.filter((_, i) => i % 2 === rest)) as [Delivery[], Delivery[]];
    expect(await source.acknowledge(even)).toBe(5);
    const countedAgain = await source.acknowledge([...even, ...even]);
    if (isCounted) expect(countedAgain).toBe(0);
    await source.extend(deliveries, shortLeaseMs(context));
    const again = await receiveCount(source, 5);
    expect(ordered(context, textsOf(again))).toEqual(ordered(context, textsOf(odd)));
    const countedTwice = await source.acknowledge([...again, ...again]);
    if (isCounted) expect(countedTwice).toBe(5);
    expect(await source.receive({ ...MANY, maxWaitMs: 2 * shortLeaseMs(context) })).toEqual([]);
  });

  test("a released delivery comes again, at once or after its delay", async (context) => {
    await publish(["m0", "m1"]);
    const [first, second] = await receiveCount(source, 2);
    await source.release([first as Delivery], 100_000);
    await source.release([second as Delivery], 0);
    expect(textsOf(await receiveCount(source, 1))).toEqual(textsOf([second as Delivery]));
    expect(await source.receive(AT_ONCE)).toEqual([]);
    await publish(["m2"]);
    const [third] = await receiveCount(source, 1);
    await source.release([third as Delivery], shortLeaseMs(context));
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

  test("gives each subscription all messages, and two sources of one subscription each message once", async (context) => {
    const other = await openSource("other");
    const twin = await openSource("orders-persistor");
    await publish(texts(0, 20));
    expect(ordered(context, textsOf(await receiveCount(other, 20)))).toEqual(ordered(context, texts(0, 20)));
    const half = await receiveCount(source, 10);
    const keepsHeld = !lacks(context, "held over a close");
    if (!keepsHeld) await source.acknowledge(half);
    if (lacks(context, "taking ahead")) await source.close();
    const rest = await receiveCount(twin, 10);
    expect(ordered(context, textsOf([...half, ...rest]))).toEqual(ordered(context, texts(0, 20)));
    if (keepsHeld && !lacks(context, "settling for another")) expect(await twin.acknowledge(half)).toBe(10);
    if (!lacks(context, "count of acknowledged")) expect(await other.acknowledge(rest)).toBe(0);
  });

  test("keeps messages, leases, attempts and acknowledgements over a reopening", async (context) => {
    skipWhereLacking(context, "taking ahead");
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

  test("gives what is published after a reopening, and nothing that was settled or is held from before", async (context) => {
    await publish(texts(0, 4));
    const before = await receiveCount(source, 4);
    await source.acknowledge(before.slice(0, 2));
    broker = await fixture.reopen();
    source = await openSource("orders-persistor");
    await publish(["m4"]);
    const again = lacks(context, "held over a close") ? texts(2, 4) : [];
    expect(textsOf(await receiveCount(source, again.length + 1))).toEqual([...again, "m4"]);
    expect(await source.receive({ ...MANY, maxWaitMs: fixture.deliveryMs ?? DELIVERY_MS })).toEqual([]);
    if (again.length === 0) expect(await source.acknowledge(before.slice(2))).toBe(2);
  });

  test("gives the messages of an ordering key in the order of publication, whatever lies between them", async (context) => {
    skipWhereLacking(context, "ordering keys");
    await fixture.prepare?.(topic, "by-key", { ordered: true });
    const byKey = await broker.openSource({ id: "orders-id", topic, subscription: "by-key" });
    const keys = ["a", "b", "ü"];
    for (let call = 0; call < 4; call++) {
      const contents = Array.from({ length: 30 }, (_, i) => messageOf(`${call}-${i}`, { orderingKey: keys[i % 4] ?? "" }));
      expect((await broker.publisher.publish(topic, contents)).every(({ ok }) => ok)).toBe(true);
    }
    const numbers = new Map<string, number[]>();
    for (let left = 120; left > 0; ) {
      const deliveries = await byKey.receive({ ...MANY, maxMessages: Math.min(left, 25), maxWaitMs: 5000 });
      for (const { message } of deliveries) {
        const [call, i] = payloadText(message).split("-").map(Number) as [number, number];
        numbers.set(message.orderingKey, [...(numbers.get(message.orderingKey) ?? []), call * 30 + i]);
      }
      expect(deliveries.length).toBeGreaterThan(0);
      left -= await byKey.acknowledge(deliveries);
    }
    for (const key of keys) expect(numbers.get(key)).toEqual(numbers.get(key)?.toSorted((a, b) => a - b));
    expect([...numbers.values()].flat()).toHaveLength(120);
  });

  test("says that a topic is missing", async (context) => {
    skipWhereLacking(context, "missing topics");
    const failure = await broker.publisher.publish("nowhere", [messageOf("x")]).then(
      ([outcome]) => outcome?.ok === false && outcome.error,
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ code: "topic_missing", retryable: false, message: expect.stringContaining("create") });
  });

  test("refuses names that are none, naming the rule", async () => {
    const withSlash = fixture.gaps?.["names without slashes"] === undefined ? "a/b" : "a//b";
    for (const topic of ["", "../x", withSlash, "/a", "a/", "-a", "a b", "ü", "x".repeat(261), "a\u0000"]) {
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
