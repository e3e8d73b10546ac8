import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type EmbeddedBroker, open } from "../../shared/adapters/brokers/embedded/adapter.ts";
import { textAttribute } from "../../shared/core/message.ts";
import type { Delivery } from "../../shared/core/ports/source.ts";
import { mountSmallDisk } from "../contract/support-disk.ts";
import { messageOf, payloadText } from "../contract/support-messages.ts";

const MANY = { maxMessages: 1000, maxBytes: 32_000_000 };
const AT_ONCE = { ...MANY, maxWaitMs: 0 };

let dataDir: string;
let broker: EmbeddedBroker;
const opened: EmbeddedBroker[] = [];

async function openBroker(settings = {}): Promise<EmbeddedBroker> {
  const another = await open(settings, { dataDir });
  opened.push(another);
  return another;
}

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "embedded-broker-"));
  broker = await openBroker();
});
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
  await rm(dataDir, { recursive: true, force: true });
});

const textsOf = (deliveries: readonly Delivery[]) => deliveries.map(({ message }) => payloadText(message));
const ackIdsOf = (deliveries: readonly Delivery[]) => deliveries.map(({ ackId }) => ackId);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function publish(topic: string, payloads: readonly string[], orderingKey = "", on = broker): Promise<void> {
  await on.publisher.publish(
    topic,
    payloads.map((payload) => messageOf(payload, { orderingKey })),
  );
}

async function messagesOf(topic: string): Promise<number | undefined> {
  return (await broker.topics()).find(({ name }) => name === topic)?.messages;
}

/** Runs SQL on the broker's file from outside, as another process could. */
function changeFile(sql: string): void {
  const db = new DatabaseSync(join(dataDir, "broker.db"), { timeout: 5000 });
  db.exec(sql);
  db.close();
}

describe("the REST verbs", () => {
  test("a first pull creates the subscription, which starts with what the topic still keeps", async () => {
    await publish("news", ["a", "b"]);
    expect(textsOf(await broker.pull("news", "late", 10))).toEqual(["a", "b"]);
    expect(await broker.pull("nothing", "there", 10)).toEqual([]);
    expect((await broker.topics()).map(({ name }) => name)).toEqual(["news", "nothing"]);
  });

  test("acknowledging and changing deadlines tell how many were ours, and know no foreign or malformed ids", async () => {
    await publish("news", ["a", "b", "c"]);
    const pulled = await broker.pull("news", "s", 10);
    const other = await broker.pull("news", "other", 10);
    expect(
      await broker.acknowledge("news", "s", [
        ...ackIdsOf(other),
        "",
        "x",
        "1.1",
        "1.1.1.1",
        "-1.1.1",
        "99999.1.1",
        `${"9".repeat(16)}.1.1`,
      ]),
    ).toBe(0);
    expect(await broker.acknowledge("news", "s", ackIdsOf(pulled.slice(0, 1)))).toBe(1);
    expect(await broker.modifyAckDeadline("news", "s", ackIdsOf(pulled), 0)).toBe(2);
    const again = await broker.pull("news", "s", 10);
    expect(again.map(({ attempt, message }) => [payloadText(message), attempt])).toEqual([
      ["b", 2],
      ["c", 2],
    ]);
    expect(await broker.modifyAckDeadline("news", "s", ackIdsOf(again), 600)).toBe(2);
    expect(await broker.acknowledge("news", "s", ackIdsOf([...again, ...pulled]))).toBe(2);
    await expect(broker.acknowledge("news", "missing", [])).rejects.toMatchObject({ code: "topic_missing" });
    await expect(broker.modifyAckDeadline("missing", "s", [], 1)).rejects.toMatchObject({ code: "topic_missing" });
  });

  test("an ack id that names no message of the subscription's topic settles nothing, though it lies between two that do", async () => {
    await publish("a", ["a1"]);
    await publish("b", ["b1"]);
    await publish("a", ["a2"]);
    const [first, last] = (await broker
      .openSource({ id: "a", topic: "a", subscription: "s" })
      .then((source) => source.receive(AT_ONCE))) as [Delivery, Delivery];
    const between = first.ackId.replace(/^\d+/, String(Number(first.message.sequence) + 1));
    expect(await broker.acknowledge("a", "s", [first.ackId, between])).toBe(1);
    expect(await broker.acknowledge("a", "s", [last.ackId])).toBe(1);
  });

  test("topics tell messages, backlog, what is leased and the age of the oldest", async () => {
    await publish("news", ["a", "b", "c", "d"]);
    const pulled = await broker.pull("news", "s", 3);
    await broker.acknowledge("news", "s", ackIdsOf(pulled.slice(0, 1)));
    await broker.createSubscription("news", "idle", { durable: true });
    const [summary] = await broker.topics();
    expect(summary).toMatchObject({
      name: "news",
      messages: 4,
      subscriptions: [
        { name: "idle", backlog: 4, leased: 0 },
        { name: "s", backlog: 3, leased: 2 },
      ],
    });
    expect(summary?.subscriptions[0]?.oldest_unacked_age_ms).toBeGreaterThanOrEqual(0);
    await broker.acknowledge("news", "s", ackIdsOf([...pulled, ...(await broker.pull("news", "s", 10))]));
    expect((await broker.topics())[0]?.subscriptions[1]).toEqual({ name: "s", backlog: 0, leased: 0 });
  });

  test("a pipeline's source leaves a subscription's options as they are and makes it durable", async () => {
    await broker.createSubscription("news", "s", { durable: false, leaseMs: 50 });
    const source = await broker.openSource({ id: "id", topic: "news", subscription: "s" });
    await publish("news", ["a"]);
    expect(await source.receive({ ...MANY, maxMessages: 1, maxWaitMs: 5000 })).toHaveLength(1);
    expect(await source.receive({ ...MANY, maxMessages: 1, maxWaitMs: 5000 })).toMatchObject([{ attempt: 2 }]);
  });

  test("refuses names and options that are none", async () => {
    await expect(broker.createTopic("../x", { retained: true })).rejects.toMatchObject({ code: "refused" });
    await expect(broker.pull("a", "b/c", 1)).rejects.toMatchObject({ code: "refused" });
    const bad = [
      { leaseMs: 0 },
      { maxDeliveryAttempts: 3 },
      { deadLetterTopic: "d" },
      { maxDeliveryAttempts: 0, deadLetterTopic: "d" },
      { maxDeliveryAttempts: 1, deadLetterTopic: "t" },
    ];
    for (const options of bad)
      await expect(broker.createSubscription("t", "s", { durable: true, ...options })).rejects.toMatchObject({ code: "refused" });
    expect(await broker.topics()).toEqual([]);
    await expect(open({ retentionHours: -1 }, { dataDir })).rejects.toMatchObject({ code: "settings_invalid" });
  });
});

describe("ordering keys", () => {
  test("later messages of a key wait while an earlier one is in other hands; other keys go on", async () => {
    await publish("t", ["k1", "k2"], "k");
    expect(textsOf(await broker.pull("t", "s", 1))).toEqual(["k1"]);
    await publish("t", ["k3"], "k");
    await publish("t", ["free"]);
    await publish("t", ["j1", "j2"], "j");
    const others = await broker.pull("t", "s", 10);
    expect(textsOf(others)).toEqual(["free", "j1", "j2"]);
    expect(await broker.acknowledge("t", "s", ackIdsOf(others))).toBe(3);
  });

  test("settling the earlier one lets the later ones go, in their order", async () => {
    await publish("t", ["k1", "k2", "k3"], "k");
    const first = await broker.pull("t", "s", 1);
    const waiting = broker.pull("t", "s", 10);
    await sleep(20);
    await broker.acknowledge("t", "s", ackIdsOf(first));
    expect(textsOf(await waiting)).toEqual(["k2", "k3"]);
  });

  test("releasing one takes the later ones of its key back, so that their order holds", async () => {
    await publish("t", ["k1", "k2", "k3"], "k");
    await publish("t", ["j1"], "j");
    const [k1, k2, k3, j1] = (await broker.pull("t", "s", 10)) as [Delivery, Delivery, Delivery, Delivery];
    expect(await broker.acknowledge("t", "s", [k1.ackId])).toBe(1);
    expect(await broker.modifyAckDeadline("t", "s", [k2.ackId], 0)).toBe(1);
    expect(await broker.acknowledge("t", "s", [k3.ackId])).toBe(0);
    expect(await broker.acknowledge("t", "s", [j1.ackId])).toBe(1);
    expect((await broker.pull("t", "s", 10)).map(({ message, attempt }) => [payloadText(message), attempt])).toEqual([
      ["k2", 2],
      ["k3", 2],
    ]);
  });

  test("a lapsed lease takes the later ones of its key back, too", async () => {
    await broker.createSubscription("t", "s", { durable: false, ordered: true });
    await publish("t", ["k1", "k2"], "k");
    const [k1, k2] = (await broker.pull("t", "s", 10)) as [Delivery, Delivery];
    await broker.modifyAckDeadline("t", "s", [k1.ackId], 0.02);
    await sleep(40);
    expect(await broker.acknowledge("t", "s", [k2.ackId])).toBe(0);
    expect(textsOf(await broker.pull("t", "s", 10))).toEqual(["k1", "k2"]);
  });

  test("holds the order of every key through random pulls, acknowledgements and releases", async () => {
    await broker.createSubscription("t", "s", { durable: false, ordered: true });
    const random = randomFrom(11);
    const unsettled = new Map<string, string[]>();
    const keys = ["a", "b", "c", ""];
    for (let i = 0; i < 300; i++) {
      const key = keys[Math.floor(random() * keys.length)] as string;
      unsettled.set(key, [...(unsettled.get(key) ?? []), `${key}${i}`]);
      await publish("t", [`${key}${i}`], key);
    }
    const held = new Map<string, Delivery>();
    let left = 300;
    while (left > 0) {
      const pulled = await broker.pull("t", "s", 1 + Math.floor(random() * 20));
      for (const key of ["a", "b", "c"]) {
        const got = textsOf(pulled.filter(({ message }) => message.orderingKey === key));
        const ofKey = unsettled.get(key) as string[];
        if (got.length > 0) expect([...held.keys()].filter((text) => ofKey.includes(text))).toEqual([]);
        expect(got).toEqual(ofKey.slice(0, got.length));
      }
      for (const delivery of pulled) held.set(payloadText(delivery.message), delivery);
      const some = [...held].filter(() => random() < 0.7);
      const [first] = held;
      for (const [text, { ackId, message }] of some.length === 0 && first ? [first] : some) {
        const isRelease = random() < 0.3;
        const settled = isRelease ? await broker.modifyAckDeadline("t", "s", [ackId], 0) : await broker.acknowledge("t", "s", [ackId]);
        held.delete(text);
        if (isRelease) takenBack(held, message);
        if (isRelease || settled === 0) continue;
        left--;
        unsettled.set(
          message.orderingKey,
          (unsettled.get(message.orderingKey) as string[]).filter((each) => each !== text),
        );
      }
    }
    expect((await broker.topics())[0]?.subscriptions).toEqual([{ name: "s", backlog: 0, leased: 0 }]);
  });
});

/** A release takes the later ones of its key with it. */
function takenBack(held: Map<string, Delivery>, released: Delivery["message"]): void {
  if (released.orderingKey === "") return;
  for (const [text, { message }] of held) {
    if (message.orderingKey === released.orderingKey && message.sequence > released.sequence) held.delete(text);
  }
}

/** A small generator of numbers below 1, the same for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

test("any sequence of publishing, receiving and settling parts of what is held agrees with a plain model", async () => {
  const random = randomFrom(5);
  const pick = <T>(all: Iterable<T>, share: number) => [...all].filter(() => random() < share);
  await broker.createTopic("t", { retained: false });
  const source = await broker.openSource({ id: "t", topic: "t", subscription: "s" });
  const waiting = new Map<string, number>();
  const held = new Map<string, Delivery>();
  let published = 0;
  for (let step = 0; step < 250; step++) {
    const fresh = Array.from({ length: Math.floor(random() * 30) }, () => `m${published++}`);
    await publish("t", fresh);
    await publish("between", ["x"]);
    for (const text of fresh) waiting.set(text, 1);
    const wanted = 1 + Math.floor(random() * 40);
    const deliveries = await source.receive({ ...AT_ONCE, maxMessages: wanted });
    expect(deliveries).toHaveLength(Math.min(wanted, waiting.size));
    for (const delivery of deliveries) {
      const text = payloadText(delivery.message);
      expect(delivery.attempt).toBe(waiting.get(text));
      waiting.delete(text);
      held.set(text, delivery);
    }
    const acknowledged = pick(held, random());
    expect(await source.acknowledge(acknowledged.map(([, delivery]) => delivery))).toBe(acknowledged.length);
    for (const [text] of acknowledged) held.delete(text);
    const released = pick(held, random() / 2);
    await source.release(
      released.map(([, delivery]) => delivery),
      0,
    );
    await source.extend(
      pick(held, 0.2).map(([, delivery]) => delivery),
      50_000,
    );
    for (const [text, { attempt }] of released) {
      held.delete(text);
      waiting.set(text, attempt + 1);
    }
  }
  const [, summary] = await broker.topics();
  expect(summary).toMatchObject({
    name: "t",
    messages: waiting.size + held.size,
    subscriptions: [{ backlog: waiting.size + held.size, leased: held.size }],
  });
});

describe("dead letters", () => {
  test("a message whose deliveries are used up moves to the dead-letter topic with the reason, unaltered", async () => {
    await broker.createSubscription("t", "s", { durable: true, ordered: true, maxDeliveryAttempts: 2, deadLetterTopic: "dead" });
    await broker.publisher.publish("t", [
      messageOf("bad", { orderingKey: "k", key: Uint8Array.of(1), contentType: "x/y" }),
      messageOf("good", { orderingKey: "k" }),
    ]);
    for (let attempt = 1; attempt <= 2; attempt++) {
      const pulled = await broker.pull("t", "s", 10);
      expect(pulled.map((delivery) => delivery.attempt)).toEqual([attempt, attempt]);
      await broker.modifyAckDeadline("t", "s", ackIdsOf(pulled.slice(0, 1)), 0);
    }
    const rest = await broker.pull("t", "s", 10);
    expect(textsOf(rest)).toEqual(["good"]);
    await broker.acknowledge("t", "s", ackIdsOf(rest));
    const [letter, ...more] = (await broker.pull("dead", "look", 10)) as [Delivery];
    expect(more).toEqual([]);
    expect(letter.message).toMatchObject({ orderingKey: "k", contentType: "x/y", key: Uint8Array.of(1) });
    expect(payloadText(letter.message)).toBe("bad");
    expect(letter.message.attributes.map(({ name }) => name)).toEqual([
      "deadLetterErrorCategory",
      "deadLetterErrorReason",
      "deadLetterSource",
    ]);
    expect(textAttribute(letter.message.attributes, "deadLetterErrorCategory")).toBe("delivery_attempts_exceeded");
    expect(textAttribute(letter.message.attributes, "deadLetterSource")).toBe("t");
    expect((await broker.topics()).find(({ name }) => name === "t")?.subscriptions[0]).toEqual({ name: "s", backlog: 0, leased: 0 });
  });

  test("without a limit a message comes again and again", async () => {
    const source = await broker.openSource({ id: "t", topic: "t", subscription: "s" });
    await publish("t", ["a"]);
    for (let attempt = 1; attempt <= 20; attempt++) {
      const [delivery] = (await source.receive(AT_ONCE)) as [Delivery];
      expect(delivery.attempt).toBe(attempt);
      await source.release([delivery], 0);
    }
  });
});

describe("retention", () => {
  test("a topic that retains nothing drops what all its subscriptions have settled, also behind a stuck message", async () => {
    await broker.createTopic("t", { retained: false });
    await publish("t", ["a", "b", "c", "d"]);
    const [one, two] = [
      await broker.openSource({ id: "t", topic: "t", subscription: "one" }),
      await broker.openSource({ id: "t", topic: "t", subscription: "two" }),
    ];
    const [ofOne, ofTwo] = [await one.receive(AT_ONCE), await two.receive(AT_ONCE)];
    await one.acknowledge(ofOne);
    expect(await messagesOf("t")).toBe(4);
    await two.acknowledge(ofTwo.slice(1, 3));
    expect(await messagesOf("t")).toBe(2);
    await two.acknowledge(ofTwo);
    expect(await messagesOf("t")).toBe(0);
  });

  test("a retained topic keeps settled messages, and a topic without subscriptions keeps all", async () => {
    await publish("kept", ["a"]);
    await broker.acknowledge("kept", "s", ackIdsOf(await broker.pull("kept", "s", 1)));
    await broker.createTopic("unread", { retained: false });
    await publish("unread", ["a"]);
    expect([await messagesOf("kept"), await messagesOf("unread")]).toEqual([1, 1]);
  });

  test("past the retention time messages go, but for what a durable subscription has not settled", async () => {
    const source = await broker.openSource({ id: "t", topic: "t", subscription: "durable" });
    await broker.createTopic("t", { retained: true });
    await publish("t", ["a", "b", "c"]);
    await publish("open", ["x"]);
    const [a, b, c] = (await source.receive(AT_ONCE)) as [Delivery, Delivery, Delivery];
    await source.acknowledge([a, c]);
    const pulled = await broker.pull("t", "casual", 10);
    changeFile("UPDATE messages SET time_ms = time_ms - 8 * 24 * 3600000");
    await publish("t", ["d"]);
    expect([await messagesOf("t"), await messagesOf("open")]).toEqual([2, 0]);
    expect(await broker.acknowledge("t", "casual", ackIdsOf(pulled))).toBe(1);
    expect(textsOf(await broker.pull("t", "casual", 10))).toEqual(["d"]);
    expect(await source.acknowledge([b])).toBe(1);
    expect(textsOf(await source.receive(AT_ONCE))).toEqual(["d"]);
  });

  test("finds the boundary of the retention time among many messages", async () => {
    for (let i = 0; i < 50; i++)
      await publish(
        "t",
        Array.from({ length: 20 }, (_, j) => `${i}-${j}`),
      );
    changeFile("UPDATE messages SET time_ms = time_ms - 8 * 24 * 3600000 WHERE sequence <= 613");
    expect(await messagesOf("t")).toBe(1000 - 613);
    await publish("t", ["last"]);
    expect(textsOf(await broker.pull("t", "s", 1))).toEqual(["30-13"]);
  });
});

test("publish times never fall within a topic, though the clock was set back", async () => {
  await publish("t", ["a"]);
  changeFile("UPDATE topics SET last_time_ms = last_time_ms + 3600000; UPDATE messages SET time_ms = time_ms + 3600000");
  await publish("t", ["b"]);
  const [a, b] = (await broker.pull("t", "s", 10)) as [Delivery, Delivery];
  expect(b.message.publishTimeUs).toBeGreaterThanOrEqual(a.message.publishTimeUs);
});

test("sequences are never given twice, even when the messages are gone", async () => {
  await broker.createTopic("t", { retained: false });
  const source = await broker.openSource({ id: "t", topic: "t", subscription: "s" });
  const ids: string[] = [];
  for (let round = 0; round < 3; round++) {
    await publish("t", ["x"]);
    const deliveries = await source.receive(AT_ONCE);
    ids.push(...deliveries.map(({ message }) => message.brokerMessageId));
    await source.acknowledge(deliveries);
    expect(await messagesOf("t")).toBe(0);
  }
  expect(new Set(ids).size).toBe(3);
});

test("two brokers on one file share topics and leases, and hear of each other's messages", async () => {
  const other = await openBroker();
  const source = await broker.openSource({ id: "t", topic: "t", subscription: "s" });
  const waiting = source.receive({ ...MANY, maxMessages: 1, maxWaitMs: 30_000 });
  await Promise.all([publish("t", ["a"], "", other), publish("u", ["b"]), publish("u", ["c"], "", other)]);
  expect(textsOf(await waiting)).toEqual(["a"]);
  const twin = await other.openSource({ id: "t", topic: "t", subscription: "s" });
  expect(await twin.receive(AT_ONCE)).toEqual([]);
  expect(await twin.acknowledge(await waiting)).toBe(1);
  expect((await broker.pull("u", "s", 10)).map(({ message }) => payloadText(message)).sort()).toEqual(["b", "c"]);
});

test("a call larger than the limits is refused whole", async () => {
  const { maxMessages } = broker.publisher.limits;
  await expect(publish("t", new Array<string>(maxMessages + 1).fill("x"))).rejects.toMatchObject({ code: "too_large" });
  expect(await broker.topics()).toEqual([]);
});

test("a full disk refuses the publish as retryable, keeps what was there, and goes on once there is space", async ({ skip }) => {
  const small = join(dataDir, "small");
  const unmount = mountSmallDisk(small, 8);
  if (!unmount && process.env.REQUIRE_SERVICES === "1") throw new Error("mounting a small disk: not permitted here; run as root");
  if (!unmount) return skip("this machine lets us mount no small disk; run as root");
  try {
    const onSmall = await open({}, { dataDir: small });
    await publish("t", ["before"], "", onSmall);
    await writeFile(join(small, "filler"), Buffer.alloc(5_000_000));
    const large = messageOf("", { payload: new Uint8Array(4_000_000).fill(1) });
    await expect(onSmall.publisher.publish("t", [large])).rejects.toMatchObject({
      code: "broker_unavailable",
      retryable: true,
      message: expect.stringContaining("full"),
    });
    await rm(join(small, "filler"));
    await publish("t", ["after"], "", onSmall);
    const pulled = await onSmall.pull("t", "s", 10);
    expect(textsOf(pulled)).toEqual(["before", "after"]);
    expect(await onSmall.acknowledge("t", "s", ackIdsOf(pulled))).toBe(2);
    await onSmall.close();
  } finally {
    unmount();
  }
});
