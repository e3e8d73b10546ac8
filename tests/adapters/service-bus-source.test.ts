import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { stringAttribute } from "../../shared/core/message.ts";
import type { Delivery, Source } from "../../shared/core/ports/source.ts";
import { messageOf } from "../contract/support-messages.ts";
import { receiveBare, useServiceBus } from "./support-service-bus.ts";
import { eventually, freshTopic, numbered, receiveAll, texts } from "./support-sources.ts";

const { server, openBroker, openSource, queueOf, bareClient, publish, load } = useServiceBus();

const AT_ONCE = { maxMessages: 1_000, maxBytes: 60_000_000, maxWaitMs: 0 };
const BRIEFLY = { ...AT_ONCE, maxWaitMs: 300 };

const locked = async (entity: string) => (await server().counts(entity)).locked;
const attempts = (deliveries: readonly Delivery[]) => deliveries.map(({ attempt }) => attempt);

describe("a source of Service Bus", () => {
  test("reads a subscription, a queue and their dead-letter queues, each under its own name", async () => {
    const topic = freshTopic("topic");
    await server().createTopic(topic, { "sub-1": { maxDeliveryCount: 1 }, other: {} });
    const queue = await queueOf({ maxDeliveryCount: 1 });
    const broker = await openBroker();
    const open = (own: Record<string, unknown>, name: string) => broker.openSource({ id: "id", topic: name, subscription: "sub-1", own });
    for (const [name, own] of [
      [topic, {}],
      [queue, { entity: "queue" }],
    ] as const) {
      await publish(name, ["m0"]);
      const source = await open(own, name);
      const deliveries = await receiveAll(source, 1);
      expect(deliveries[0]).toMatchObject({ attempt: 1, message: { brokerId: "id", topic: name, sequence: 1n, brokerMessageId: "1" } });
      await source.release(deliveries, 0);
      const dead = await open({ ...own, deadLetterQueue: true }, name);
      const [again] = await receiveAll(dead, 1);
      expect(again?.message).toMatchObject({ topic: name, brokerMessageId: "1" });
      expect(again?.message.attributes).toContainEqual(stringAttribute("DeadLetterReason", "MaxDeliveryCountExceeded"));
      expect(await dead.acknowledge([again as Delivery])).toBe(1);
    }
    expect(await server().counts(queue)).toMatchObject({ active: 0, locked: 0, deadLettered: 0 });
  });

  test.each([{}, { sessions: true }])("reads, settles and finds the dead letters of what lies in folders, with %j", async (own) => {
    const folder = freshTopic("Shop.Contracts");
    const topic = `${folder}/Fault--${folder}/OrderPlaced--`;
    await server().createTopic(topic, { archive: { maxDeliveryCount: 1, requiresSession: "sessions" in own } });
    const broker = await openBroker();
    const open = (more = {}) => broker.openSource({ id: "id", topic, subscription: "archive", own: { ...own, ...more } });
    await publish(topic, [messageOf("m0", { orderingKey: "s" }), messageOf("m1", { orderingKey: "s" })]);
    const source = await open();
    const [first, second] = (await receiveAll(source, 2)) as [Delivery, Delivery];
    expect([first, second].map(({ message }) => message.topic)).toEqual([topic, topic]);
    expect(await source.acknowledge([first])).toBe(1);
    await source.release([second], 0);
    const dead = await open({ deadLetterQueue: true });
    const again = await receiveAll(dead, 1);
    expect(texts(again)).toEqual(["m1"]);
    expect(await dead.acknowledge(again)).toBe(1);
  });

  test("comes to the dead-letter queue only past the delivery limit, with rising attempts before", async () => {
    const queue = await queueOf({ maxDeliveryCount: 5 });
    await publish(queue, ["m0"]);
    const source = await openSource(queue);
    for (let attempt = 1; attempt <= 5; attempt++) {
      const deliveries = await receiveAll(source, 1);
      expect(attempts(deliveries)).toEqual([attempt]);
      await source.release(deliveries, attempt === 3 ? 300 : 0);
    }
    expect(await source.receive(BRIEFLY)).toEqual([]);
    expect(await server().counts(queue)).toMatchObject({ active: 0, locked: 0, deadLettered: 1 });
    expect(texts(await receiveAll(await openSource(queue, { deadLetterQueue: true }), 1))).toEqual(["m0"]);
  });

  test("settles each message as it was asked, also where two neighbours are to end differently at the same moment", async () => {
    const queue = await queueOf();
    await publish(queue, numbered(0, 6));
    const source = await openSource(queue);
    const deliveries = await receiveAll(source, 6);
    await Promise.all(
      deliveries.map((delivery, i) =>
        i % 2 === 0 ? source.acknowledge([delivery]).then((count) => expect(count).toBe(1)) : source.release([delivery], 0),
      ),
    );
    expect(texts(await receiveAll(source, 3)).toSorted()).toEqual(["m1", "m3", "m5"]);
    expect(await server().counts(queue)).toMatchObject({ completed: 3, locked: 3 });
  });

  test("counts a lock that has expired as lost, and gets its message again", async () => {
    const queue = await queueOf();
    await publish(queue, numbered(0, 3));
    const source = await openSource(queue);
    const deliveries = await receiveAll(source, 3);
    expect(await server().expireLocks(queue)).toBe(3);
    expect(await source.acknowledge(deliveries.slice(0, 2))).toBe(0);
    await source.release(deliveries.slice(2), 0);
    const again = await receiveAll(source, 3);
    expect(attempts(again)).toEqual([2, 2, 2]);
    expect(await source.acknowledge(again)).toBe(3);
    expect(await server().counts(queue)).toMatchObject({ completed: 3, active: 0, locked: 0 });
  });

  test("keeps what a slow handler prolongs, and what waits to be asked for, beyond their locks", async () => {
    const queue = await queueOf({ lockMs: 2_500 });
    await load(queue, numbered(0, 200));
    const source = await openSource(queue);
    const slow = await receiveAll(source, 100);
    for (let i = 0; i < 6; i++) {
      await sleep(1_000);
      await source.extend(slow, 5_000);
      expect(await source.receive({ ...AT_ONCE, maxMessages: 1 })).toHaveLength(1);
    }
    expect(await source.acknowledge(slow)).toBe(100);
    const rest = await receiveAll(source, 94);
    expect(new Set(attempts(rest))).toEqual(new Set([1]));
    expect(await source.acknowledge(rest)).toBe(94);
  });

  test("does not keep a lock beyond the lease that was asked for", async () => {
    const queue = await queueOf({ lockMs: 1_000 });
    await publish(queue, ["m0"]);
    const source = await openSource(queue);
    const held = await receiveAll(source, 1);
    await source.extend(held, 1_500);
    const again = await receiveAll(source, 1);
    expect(attempts(again)).toEqual([2]);
    expect(await source.acknowledge(held)).toBe(0);
    expect(await source.acknowledge(again)).toBe(1);
  });

  test("gives back at once what it has and does not want: after a while without a receive, and when it is closed", async () => {
    const queue = await queueOf();
    await load(queue, numbered(0, 100));
    const source = await openSource(queue);
    const out = await receiveAll(source, 10);
    await eventually(async () => (await locked(queue)) === 100);
    // The rest is held for ten seconds.
    await eventually(async () => (await locked(queue)) === 10, 30_000);
    expect(await source.acknowledge(out.slice(0, 5))).toBe(5);
    const more = await receiveAll(source, 95 - 5);
    expect(new Set(attempts(more))).toEqual(new Set([2]));
    await source.close();
    expect(await server().counts(queue)).toMatchObject({ active: 95, locked: 0, completed: 5 });
    await expect(source.receive(AT_ONCE)).rejects.toMatchObject({ code: "broker_unavailable" });
    await expect(source.acknowledge(out)).rejects.toMatchObject({ code: "broker_unavailable" });
  });

  test("is not held up by messages that wait for their delay, however many come behind them", async () => {
    const queue = await queueOf();
    await load(queue, numbered(0, 40_000));
    const source = await openSource(queue);
    let delayed = 0;
    for (let count = 0; count + delayed < 40_000; delayed++) {
      const [poison, ...good] = await source.receive({ ...AT_ONCE, maxWaitMs: 10_000 });
      await source.release([poison as Delivery], 3_600_000);
      const settled = await source.acknowledge(good);
      expect(settled).toBeGreaterThan(0);
      count += settled;
    }
    expect(await server().counts(queue)).toMatchObject({ active: 0, locked: delayed, completed: 40_000 - delayed });
    await source.close();
    expect(await server().counts(queue)).toMatchObject({ active: delayed, locked: 0 });
  });

  test("is not held up by a batch that takes its time", async () => {
    const queue = await queueOf();
    await load(queue, numbered(0, 8_000));
    const source = await openSource(queue);
    const slow = await receiveAll(source, 50);
    let count = 0;
    while (count < 7_950) {
      const deliveries = await source.receive({ ...AT_ONCE, maxWaitMs: 5_000 });
      expect(deliveries.length).toBeGreaterThan(0);
      count += await source.acknowledge(deliveries);
    }
    expect(await source.acknowledge(slow)).toBe(50);
    expect(await server().counts(queue)).toMatchObject({ active: 0, locked: 0, completed: 8_000 });
  });

  test("takes thousands of messages before any is settled, and no more than its bound", async () => {
    const queue = await queueOf();
    await load(queue, numbered(0, 18_000));
    const source = await openSource(queue);
    const first = await receiveAll(source, 10_000);
    expect(first).toHaveLength(10_000);
    await eventually(async () => (await locked(queue)) >= 15_000);
    await sleep(500);
    expect(await locked(queue)).toBeLessThanOrEqual(16_100);
    expect(await source.acknowledge(first)).toBe(10_000);
    const rest = await receiveAll(source, 8_000);
    expect(rest).toHaveLength(8_000);
    expect(await source.acknowledge(rest)).toBe(8_000);
  });

  test("holds no more bytes of large messages than its bound, and goes on as they are settled", async () => {
    const queue = await queueOf({ maxMessageBytes: 2_000_000 });
    const { publisher } = await openBroker({ maxMessageBytes: 1_500_000 });
    const large = messageOf("", { payload: new Uint8Array(1_000_000) });
    for (let i = 0; i < 120; i += 10)
      await publisher.publish(
        queue,
        Array.from({ length: 10 }, () => large),
      );
    const source = await openSource(queue, {}, { maxMessageBytes: 1_500_000 });
    let count = 0;
    let most = 0;
    while (count < 120) {
      const deliveries = await source.receive({ maxMessages: 1_000, maxBytes: 8_000_000, maxWaitMs: 5_000 });
      expect(deliveries.length).toBeGreaterThan(0);
      await sleep(50);
      most = Math.max(most, await locked(queue));
      count += await source.acknowledge(deliveries);
    }
    // 48 MB, and the one that goes beyond.
    expect(most).toBeLessThanOrEqual(50);
  });

  test("opens before a first message, and says so by a receive of none", async () => {
    const queue = await queueOf();
    await publish(queue, ["m0"]);
    const source = await openSource(queue);
    expect(await source.receive({ ...AT_ONCE, maxMessages: 0 })).toEqual([]);
    await eventually(async () => (await locked(queue)) === 1);
    await expect((await openSource("nowhere")).receive({ ...AT_ONCE, maxMessages: 0 })).rejects.toMatchObject({ code: "topic_missing" });
  });

  test("leaves to others what it has not taken, and shares a queue with them", async () => {
    const queue = await queueOf();
    await load(queue, numbered(0, 3_000));
    const sources = await Promise.all([openSource(queue), openSource(queue)]);
    const seen: string[] = [];
    const read = async (source: Source) => {
      while (seen.length < 3_000) {
        const deliveries = await source.receive(BRIEFLY);
        seen.push(...texts(deliveries));
        expect(await source.acknowledge(deliveries)).toBe(deliveries.length);
      }
    };
    await Promise.all(sources.map(read));
    expect(seen.toSorted()).toEqual(numbered(0, 3_000).toSorted());
  });

  test("settles beside the SDK as it is without disturbing it", async () => {
    const queue = await queueOf();
    await publish(queue, numbered(0, 20));
    const source = await openSource(queue);
    const ours = await receiveAll(source, 10);
    await source.close();
    const bare = bareClient().createReceiver(queue);
    const theirs = await receiveBare(bare, 20);
    expect(theirs.map(({ body }) => String(body)).toSorted()).toEqual(numbered(0, 20).toSorted());
    for (const message of theirs) await bare.completeMessage(message);
    expect(ours).toHaveLength(10);
    expect(await server().counts(queue)).toMatchObject({ completed: 20 });
  });
});

describe("what keeps a source from Service Bus", () => {
  /** Thrown long before the wait is over. */
  const failureOf = (source: Source) => source.receive({ ...AT_ONCE, maxWaitMs: 300_000 }).catch((error) => error);
  const keyOf = (part: string) => new RegExp(`${part}=([^;]+)`).exec(server().connectionString)?.[1] as string;

  test("is named within seconds: a missing queue, subscription, or one that is deleted meanwhile", async () => {
    expect(await failureOf(await openSource("nowhere"))).toMatchObject({ code: "topic_missing", retryable: false });
    const topic = freshTopic("topic");
    await server().createTopic(topic, { there: {} });
    const broker = await openBroker();
    const missing = await broker.openSource({ id: "x", topic, subscription: "missing" });
    expect(await failureOf(missing)).toMatchObject({
      code: "topic_missing",
      message: expect.stringContaining(`${topic}/missing`),
    });
    const queue = await queueOf();
    const source = await openSource(queue);
    expect(await source.receive(BRIEFLY)).toEqual([]);
    await server().deleteEntity(queue);
    expect(await failureOf(source)).toMatchObject({ code: "topic_missing", message: expect.stringContaining(queue) });
    await server().createQueue(queue);
    await publish(queue, ["again"]);
    await eventually(async () => (await source.receive(BRIEFLY).catch(() => [])).length === 1);
  });

  test("is named within seconds: a wrong key", async () => {
    const connectionString = server().connectionString.replace(keyOf("SharedAccessKey"), "AAAA");
    const failure = await failureOf(await openSource(await queueOf(), {}, { connectionString }));
    expect(failure).toMatchObject({ code: "access_denied", retryable: false, message: expect.stringContaining("Data Receiver") });
  });

  test("is named: an entity with sessions that is read without, and one without that is read with them", async () => {
    const withSessions = await failureOf(await openSource(await queueOf({ requiresSession: true })));
    expect(withSessions).toMatchObject({ code: "refused", message: expect.stringContaining("`sessions`") });
    const without = await failureOf(await openSource(await queueOf(), { sessions: true }));
    expect(without).toMatchObject({ code: "refused", message: expect.stringContaining("`sessions`") });
  });

  test("is refused at the opening: names that are none, and settings that are unknown", async () => {
    const broker = await openBroker();
    await expect(broker.openSource({ id: "x", topic: "a//b", subscription: "s" })).rejects.toMatchObject({ code: "refused" });
    await expect(broker.openSource({ id: "x", topic: "a", subscription: "s/t" })).rejects.toMatchObject({ code: "refused" });
    await expect(broker.openSource({ id: "x", topic: "a", subscription: "" })).rejects.toMatchObject({ code: "refused" });
    const own = { entity: "queue", session: true };
    await expect(broker.openSource({ id: "x", topic: "a", subscription: "", own })).rejects.toMatchObject({ code: "settings_invalid" });
  });
});
