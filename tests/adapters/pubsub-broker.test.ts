import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { open } from "../../shared/adapters/brokers/pubsub/adapter.ts";
import { adminOf } from "../../shared/adapters/brokers/pubsub/harness.ts";
import type { Broker } from "../../shared/adapters/registry.ts";
import { stringAttribute } from "../../shared/core/message.ts";
import type { Delivery, Source } from "../../shared/core/ports/source.ts";
import { messageOf, payloadText } from "../contract/support-messages.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { type PubsubEmulator, pubsubEmulatorMissing, startPubsubEmulator } from "../services/pubsub-emulator.ts";

const MANY = { maxMessages: 10_000, maxBytes: 64_000_000 };
/** What a source may have been sent and not settled. */
const OUTSTANDING_MESSAGES = 20_000;

describeWhere(pubsubEmulatorMissing(), "Pub/Sub's emulator", () => {
  let emulator: PubsubEmulator;
  let broker: Broker;
  let admin: ReturnType<typeof adminOf>;
  let projects = 0;

  beforeAll(async () => {
    emulator = await startPubsubEmulator({ heapMb: 2048 });
  });
  afterAll(() => emulator.stop());
  beforeEach(async () => {
    const settings = { projectId: `project-${++projects}`, emulatorHost: emulator.host };
    admin = adminOf(settings);
    await admin.prepare("orders", "orders-s");
    broker = await open(settings, { dataDir: "" });
  });
  afterEach(async () => {
    await broker.close();
    await admin.close();
  });

  const openSource = (subscription = "orders-s") => broker.openSource({ id: "id", topic: "orders", subscription });
  const publish = (payloads: readonly string[]) =>
    broker.publisher.publish(
      "orders",
      payloads.map((payload) => messageOf(payload)),
    );
  const failureOf = (work: Promise<unknown>) =>
    work.then(
      () => undefined,
      (error: unknown) => error,
    );
  /** Receives until there are `count`, however slowly they come, and nothing more comes for `quietMs`. */
  const drain = async (source: Source, count: number, quietMs: number): Promise<Delivery[]> => {
    const all: Delivery[] = [];
    for (;;) {
      const deliveries = await source.receive({ ...MANY, maxWaitMs: quietMs });
      if (deliveries.length === 0 && all.length >= count) return all;
      all.push(...deliveries);
    }
  };

  test("takes messages that make a request of nearly 10 MB, and gives them back whole", async () => {
    const attributes = Array.from({ length: 100 }, (_, i) => stringAttribute(`n${String(i).padStart(2, "0")}`, "v".repeat(1024)));
    const room = broker.publisher.limits.maxMessageBytes - 100 * (3 + 1024);
    const content = messageOf("", { payload: Buffer.alloc(room, "0123456789"), attributes });
    expect(await broker.publisher.publish("orders", [content])).toMatchObject([{ ok: true }]);
    const [delivery] = await (await openSource()).receive({ ...MANY, maxMessages: 1, maxWaitMs: 20_000 });
    expect(Buffer.from(delivery?.message.payload ?? []).equals(content.payload)).toBe(true);
    expect(delivery?.message.attributes).toEqual(attributes);
  });

  test("is read no further ahead than the source may hold", async () => {
    const published = OUTSTANDING_MESSAGES + 10_000;
    for (let i = 0; i < published; i += 10_000) await publish(Array.from({ length: 10_000 }, (_, n) => `${i + n}`));
    const hoarding = await openSource();
    const taken = await hoarding.receive({ ...MANY, maxMessages: 100, maxWaitMs: 10_000 });
    expect(taken).toHaveLength(100);
    const left = await drain(await openSource(), published - OUTSTANDING_MESSAGES, 3_000);
    expect(left.length).toBeGreaterThanOrEqual(published - OUTSTANDING_MESSAGES);
    const rest = await drain(hoarding, published - taken.length - left.length, 3_000);
    const all = [...taken, ...left, ...rest].map(({ message }) => payloadText(message));
    expect(new Set(all).size).toBe(published);
  });

  test("gets back what a source took ahead and nobody asked for", async () => {
    await publish(["a", "b", "c"]);
    const idle = await openSource();
    expect(await idle.receive({ ...MANY, maxMessages: 1, maxWaitMs: 10_000 })).toHaveLength(1);
    const other = await openSource();
    const others: Delivery[] = [];
    while (others.length < 2) others.push(...(await other.receive({ ...MANY, maxMessages: 2 - others.length, maxWaitMs: 30_000 })));
    expect(others).toHaveLength(2);
  });

  test("that has no such subscription is told at once, with what to do; the source works as soon as there is one", async () => {
    const source = await openSource("late");
    const failure = await failureOf(source.receive({ ...MANY, maxWaitMs: 60_000 }));
    expect(failure).toMatchObject({
      code: "broker_unavailable",
      retryable: true,
      message: expect.stringContaining("create the subscription"),
    });
    await admin.prepare("orders", "late");
    await publish(["a"]);
    let deliveries: Delivery[] = [];
    while (deliveries.length === 0) {
      deliveries = await source.receive({ ...MANY, maxMessages: 1, maxWaitMs: 5_000 }).catch(() => []);
    }
    expect(deliveries.map(({ message }) => payloadText(message))).toEqual(["a"]);
  });

  test("may be killed and started again under a receive and a publish: both say so, and go on", async () => {
    const source = await openSource();
    await publish(["before"]);
    expect(await source.receive({ ...MANY, maxMessages: 1, maxWaitMs: 10_000 })).toHaveLength(1);
    const receiving = failureOf(source.receive({ ...MANY, maxWaitMs: 60_000 }));
    await emulator.stop();
    expect(await receiving).toMatchObject({ code: "broker_unavailable", retryable: true });
    expect(await failureOf(source.receive({ ...MANY, maxWaitMs: 100 }))).toMatchObject({ code: "broker_unavailable" });
    expect(await publish(["lost"])).toMatchObject([{ error: { code: "broker_unavailable", retryable: true } }]);

    emulator = await startPubsubEmulator({ port: Number(emulator.host.split(":")[1]), heapMb: 2048 });
    await admin.prepare("orders", "orders-s");
    for (let isSent = false; !isSent; ) isSent = (await publish(["after"])).every(({ ok }) => ok);
    let deliveries: Delivery[] = [];
    while (deliveries.length === 0) {
      deliveries = await source.receive({ ...MANY, maxMessages: 1, maxWaitMs: 5_000 }).catch(() => []);
    }
    expect(deliveries.map(({ message }) => payloadText(message))).toEqual(["after"]);
    expect(await source.acknowledge(deliveries)).toBe(1);
  });
});
