import { describe, expect, test } from "vitest";
import type { MessageContent } from "../../shared/core/message.ts";
import type { PublishOutcome } from "../../shared/core/ports/publisher.ts";
import { comparable, messageOf, payloadText } from "../contract/support-messages.ts";
import { freePort } from "../services/child.ts";
import { useEventHubs } from "./support-event-hubs.ts";
import { freshTopic, numbered, receiveAll, texts } from "./support-sources.ts";

const BUSY = "com.microsoft:server-busy";
const REFUSED = "amqp:not-allowed";
const keyed = (text: string, orderingKey: string): MessageContent => messageOf(text, { orderingKey });
const oks = (outcomes: readonly PublishOutcome[]) => outcomes.map(({ ok }) => ok);

describe("a publisher to Event Hubs", { timeout: 120_000 }, () => {
  const { server, openBroker, openSource, hubOf } = useEventHubs();
  const read = async (hub: string, count: number) => receiveAll(await openSource(hub), count);

  test("keeps the order of each key in one partition, and spreads what has none", async () => {
    const hub = await hubOf(4);
    const { publisher } = await openBroker();
    const messages = Array.from({ length: 1_200 }, (_, i) => (i % 3 === 0 ? messageOf(`-${i}`) : keyed(`k${i % 7}-${i}`, `k${i % 7}`)));
    for (let i = 0; i < 1_200; i += 100) expect(oks(await publisher.publish(hub, messages.slice(i, i + 100)))).not.toContain(false);
    const got = (await read(hub, 1_200)).map(({ message }) => message);
    for (let k = 0; k < 7; k++) {
      const own = got.filter(({ orderingKey }) => orderingKey === `k${k}`);
      const numbers = own.map((message) => Number(payloadText(message).split("-")[1]));
      expect(new Set(own.map(({ partition }) => partition)).size).toBe(1);
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    }
    const spread = got.filter(({ orderingKey }) => orderingKey === "").map(({ partition }) => partition);
    expect(new Set(spread).size).toBe(4);
  });

  test("sends to the partition that is asked for, also with a key, and names one that the hub lacks", async () => {
    const hub = await hubOf(3);
    const { publisher } = await openBroker();
    const kept = ["0", "1", "2", "0"].map((toPartition, i) => ({ ...keyed(`m${i}`, "one key"), toPartition }));
    const outcomes = await publisher.publish(hub, [
      ...kept,
      { ...messageOf("none"), toPartition: "3" },
      { ...messageOf("x"), toPartition: "" },
    ]);
    expect(oks(outcomes)).toEqual([true, true, true, true, false, false]);
    expect(outcomes[4]).toMatchObject({ error: { code: "refused", retryable: false, message: expect.stringContaining("no partition 3") } });
    const got = (await read(hub, 4)).map(({ message }) => message);
    expect(got.map((message) => [payloadText(message), message.partition, message.orderingKey]).toSorted()).toEqual([
      ["m0", "0", "one key"],
      ["m1", "1", "one key"],
      ["m2", "2", "one key"],
      ["m3", "0", "one key"],
    ]);
  });

  test("keeps the order of what has no key where that is asked for: one source partition goes to one partition", async () => {
    const hub = await hubOf(4);
    const { publisher } = await openBroker();
    const orders = ["0", "1", "5", "a key"];
    for (let call = 0; call < 3; call++) {
      const messages = Array.from({ length: 200 }, (_, i) => ({ ...messageOf(`${call * 200 + i}`), orderedBy: orders[i % 4] as string }));
      expect(oks(await publisher.publish(hub, messages))).not.toContain(false);
    }
    const got = (await read(hub, 600)).map(({ message }) => [message.partition, Number(payloadText(message))] as const);
    const partitions = orders.map((_, order) => {
      const own = got.filter(([, number]) => number % 4 === order);
      expect(own.map(([, number]) => number)).toEqual(own.map(([, number]) => number).toSorted((a, b) => a - b));
      expect(new Set(own.map(([partition]) => partition)).size).toBe(1);
      return own[0]?.[0];
    });
    expect(partitions.slice(0, 3)).toEqual(["0", "1", "1"]);
  });

  test("sends what the message is and nothing else: no id, no key of the lane", async () => {
    const hub = await hubOf(1);
    const { publisher } = await openBroker();
    const contents = [messageOf("plain"), keyed("keyed", "k")];
    await publisher.publish(
      hub,
      contents.map((content, i) => ({ ...content, messageId: `id-${i}`, ...(i === 0 && { orderedBy: "x" }) })),
    );
    const got = (await read(hub, 2)).toSorted((a, b) => (payloadText(a.message) > payloadText(b.message) ? -1 : 1));
    expect(got.map(({ message }) => comparable(message))).toEqual(contents.map(comparable));
  });

  test("cuts batches to what the hub takes at once, and refuses the message that is larger alone", async () => {
    const hub = await hubOf(1, { maxMessageBytes: 262_144 });
    const { publisher } = await openBroker();
    const of = (bytes: number) => messageOf("", { payload: Buffer.alloc(bytes, 7) });
    const outcomes = await publisher.publish(hub, [of(100_000), of(300_000), of(261_500), of(200_000), of(10)]);
    expect(oks(outcomes)).toEqual([true, false, true, true, true]);
    expect(outcomes[1]).toMatchObject({ error: { code: "too_large", retryable: false, message: expect.stringContaining("262144") } });
    expect((await read(hub, 4)).map(({ message }) => message.payload.length)).toEqual([100_000, 261_500, 200_000, 10]);
  });

  test("waits for a service that is busy for a moment", async () => {
    const hub = await hubOf(1);
    const { publisher } = await openBroker();
    await server().injectFault({ kind: "answer-sends", entity: hub, condition: BUSY, times: 2 });
    expect(await publisher.publish(hub, [messageOf("a"), messageOf("b")])).toMatchObject([{ ok: true }, { ok: true }]);
    expect(texts(await read(hub, 2))).toEqual(["a", "b"]);
  });

  test("gives up on a service that stays busy, and sends nothing behind the message that it could not send", async () => {
    const hub = await hubOf(1, { maxMessageBytes: 10_000 });
    const { publisher } = await openBroker();
    const messages = Array.from({ length: 4 }, (_, i) =>
      messageOf("", { payload: Buffer.alloc(6_000, i), orderingKey: i === 3 ? "other" : "" }),
    );
    await server().injectFault({ kind: "answer-sends", entity: hub, condition: BUSY, times: 1_000 });
    const outcomes = await publisher.publish(hub, messages);
    for (const outcome of outcomes) expect(outcome).toMatchObject({ ok: false, error: { code: "broker_unavailable", retryable: true } });
    expect(outcomes.slice(0, 3).map((outcome) => !outcome.ok && /not sent, as/.test(outcome.error.message))).toEqual([false, true, true]);
    await server().clearFaults();
    expect((await server().counts(hub)).enqueued).toBe(0);
    expect(oks(await publisher.publish(hub, messages))).not.toContain(false);
  });

  test("halves a batch that is refused, until it knows whom that is for", async () => {
    const hub = await hubOf(1);
    const { publisher } = await openBroker();
    await server().injectFault({ kind: "answer-sends", entity: hub, condition: REFUSED, times: 3 });
    const outcomes = await publisher.publish(
      hub,
      numbered(0, 4).map((text) => messageOf(text)),
    );
    expect(outcomes).toMatchObject([{ ok: false, error: { code: "refused", retryable: false } }, { ok: true }, { ok: true }, { ok: true }]);
    expect(texts(await read(hub, 3))).toEqual(numbered(1, 4));
  });

  test("tells of each message of a batch that was halved what became of it, also where the service is busy then", async () => {
    const hub = await hubOf(1);
    const { publisher } = await openBroker();
    await server().injectFault({ kind: "answer-sends", entity: hub, condition: REFUSED, times: 1 });
    await server().injectFault({ kind: "answer-sends", condition: BUSY, times: 1_000 });
    const outcomes = await publisher.publish(
      hub,
      numbered(0, 4).map((text) => messageOf(text)),
    );
    expect(outcomes.map((outcome) => (outcome.ok ? "" : outcome.error.code))).toEqual(
      Array.from({ length: 4 }, () => "broker_unavailable"),
    );
    expect((await server().counts(hub)).enqueued).toBe(0);
  });

  test.each(["before", "after"] as const)("sends again what a lost connection took %s the service had it", async (when) => {
    const hub = await hubOf(1);
    const { publisher } = await openBroker();
    expect(oks(await publisher.publish(hub, [messageOf("first")]))).toEqual([true]);
    await server().injectFault({ kind: "drop-at", entity: hub, event: "transfer", when });
    expect(oks(await publisher.publish(hub, [messageOf("a"), messageOf("b")]))).toEqual([true, true]);
    const twice = when === "after" ? ["a", "b"] : [];
    expect(texts(await read(hub, 3 + twice.length))).toEqual(["first", ...twice, "a", "b"]);
  });

  test("goes on after its connections were cut", async () => {
    const hub = await hubOf(2);
    const { publisher } = await openBroker();
    for (let i = 0; i < 4; i++) {
      expect(oks(await publisher.publish(hub, [messageOf(`m${i}`), { ...messageOf(`to ${i}`), toPartition: "1" }]))).toEqual([true, true]);
      await server().dropConnections();
    }
    expect(await read(hub, 8)).toHaveLength(8);
  });

  test("neither publishing nor closing waits for ever for a service that answers nothing", async () => {
    const hub = await hubOf(1);
    const broker = await openBroker();
    expect(oks(await broker.publisher.publish(hub, [messageOf("first")]))).toEqual([true]);
    await server().beginOutage({ kind: "be-silent", forMs: 600_000 });
    const outcomes = await broker.publisher.publish(hub, [messageOf("a"), keyed("b", "k")]).catch((error: unknown) => error);
    expect(outcomes).toMatchObject([1, 2].map(() => ({ ok: false, error: { code: "broker_unavailable", retryable: true } })));
    await broker.close();
  });

  test("says soon what is missing, not allowed or away, naming it", async () => {
    const hub = await hubOf(1);
    const missing = freshTopic("nowhere");
    const wrongKey = server().connectionString.replace(/SharedAccessKey=[^;]+/, "SharedAccessKey=d3Jvbmc=");
    const away = server().connectionString.replace(`:${server().port}`, `:${await freePort()}`);
    const failures = await Promise.all(
      (
        [
          [missing, {}],
          [hub, { connectionString: wrongKey }],
          [hub, { connectionString: away }],
          [hub, { connectionString: `${server().connectionString};EntityPath=another` }],
        ] as const
      ).map(async ([name, settings]) =>
        (await openBroker(settings)).publisher.publish(name, [messageOf("x")]).then(
          () => undefined,
          (error: unknown) => error,
        ),
      ),
    );
    expect(failures).toMatchObject([
      { code: "topic_missing", retryable: false, message: expect.stringMatching(new RegExp(`${missing}.*create the event hub`)) },
      { code: "access_denied", retryable: false, message: expect.stringContaining("PERSISTOR_EVENT_HUBS") },
      { code: "broker_unavailable", retryable: true, message: expect.stringContaining("PERSISTOR_EVENT_HUBS") },
      { code: "refused", retryable: false, message: expect.stringContaining("event hub another") },
    ]);
    const secret = /SharedAccessKey=([^;]+)/.exec(server().connectionString)?.[1] as string;
    expect(failures.map(String).join()).not.toContain(secret);
  });

  test("takes a record key that is text for the partition key", async () => {
    const { publisher } = await openBroker();
    const adapted = (key: Uint8Array, orderingKey = "") => publisher.adapt(messageOf("x", { key, orderingKey }));
    expect(adapted(Buffer.from("ключ"))).toMatchObject({ key: null, orderingKey: "ключ" });
    for (const key of [Buffer.alloc(0), Uint8Array.of(255), Buffer.alloc(129, "k")])
      expect(adapted(key)).toMatchObject({ key, orderingKey: "" });
    expect(adapted(Buffer.from("k"), "own")).toMatchObject({ key: Buffer.from("k"), orderingKey: "own" });
    expect(publisher.cannotCarry(messageOf("x", { key: Uint8Array.of(255) }))).toBe("Event Hubs has no record key");
  });
});
