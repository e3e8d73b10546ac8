import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { MessageContent } from "../../shared/core/message.ts";
import type { Delivery, Source } from "../../shared/core/ports/source.ts";
import { payloadText } from "../contract/support-messages.ts";
import { receiveBare, useServiceBus } from "./support-service-bus.ts";
import { eventually, numbered, receiveAll, receiveAndMore, texts } from "./support-sources.ts";

const { server, openSource, queueOf, bareClient, publish, load } = useServiceBus();

const SESSIONS = { sessions: true };
const BATCH = { maxMessages: 500, maxBytes: 8_000_000, maxWaitMs: 1_000 };

const queueWithSessions = (lockMs = 60_000) => queueOf({ requiresSession: true, lockMs });
/** Texts `<session>-<number>`. */
const inSession = (payload: string): Partial<MessageContent> => ({ orderingKey: payload.split("-")[0] as string });
const spread = (sessions: number, each: number) =>
  Array.from({ length: sessions * each }, (_, i) => `s${i % sessions}-${Math.floor(i / sessions)}`);

/** Reads and settles until there were so many; texts by session, in the order in which they came. */
async function readAll(source: Source, count: number): Promise<Map<string, number[]>> {
  const bySession = new Map<string, number[]>();
  for (let left = count; left > 0; ) {
    const deliveries = await source.receive({ ...BATCH, maxWaitMs: 5_000 });
    if (deliveries.length === 0) throw new Error(`${left} messages did not come`);
    for (const { message } of deliveries) {
      const [session, number] = payloadText(message).split("-") as [string, string];
      expect(message.orderingKey).toBe(session);
      bySession.set(session, [...(bySession.get(session) ?? []), Number(number)]);
    }
    expect(await source.acknowledge(deliveries)).toBe(deliveries.length);
    left -= deliveries.length;
  }
  return bySession;
}

describe("a source of sessions", () => {
  test("gives each session's messages in their order, of many sessions at once", async () => {
    const queue = await queueWithSessions();
    await load(queue, spread(40, 50), inSession);
    const bySession = await readAll(await openSource(queue, SESSIONS), 2_000);
    expect(bySession.size).toBe(40);
    for (const numbers of bySession.values()) expect(numbers).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(await server().counts(queue)).toMatchObject({ active: 0, locked: 0, completed: 2_000 });
  });

  test("fills a batch out of more sessions than it accepts at once, before any of them is settled", async () => {
    const queue = await queueWithSessions();
    await load(queue, spread(300, 2), inSession);
    const source = await openSource(queue, SESSIONS);
    const deliveries = await receiveAll(source, 600);
    expect(new Set(deliveries.map(({ message }) => message.orderingKey)).size).toBe(300);
    expect(await source.acknowledge(deliveries)).toBe(600);
  });

  test("reads more sessions than it has places for, one making room for the other", { timeout: 120_000 }, async () => {
    const queue = await queueWithSessions();
    await load(queue, spread(1_200, 2), inSession);
    const bySession = await readAll(await openSource(queue, SESSIONS), 2_400);
    expect(bySession.size).toBe(1_200);
    for (const numbers of bySession.values()) expect(numbers).toEqual([0, 1]);
  });

  test("waits for sessions that come later, and leaves one that is quiet to others", async () => {
    const queue = await queueWithSessions();
    const source = await openSource(queue, SESSIONS);
    expect(await source.receive({ ...BATCH, maxWaitMs: 300 })).toEqual([]);
    await publish(queue, [{ ...contentOf("a-0") }]);
    const first = await receiveAll(source, 1);
    expect(await source.acknowledge(first)).toBe(1);
    const bare = bareClient();
    let taken: Awaited<ReturnType<typeof bare.acceptSession>> | undefined;
    await eventually(async () => {
      taken = await bare.acceptSession(queue, "a").catch(() => undefined);
      return taken !== undefined;
    });
    await publish(queue, [contentOf("a-1"), contentOf("b-0")]);
    expect(texts(await receiveAndMore(source, 1, 500))).toEqual(["b-0"]);
    expect((await receiveBare(taken as never, 1)).map(({ body }) => String(body))).toEqual(["a-1"]);
  });

  test("keeps a session beyond its lock as long as its messages are wanted", async () => {
    const queue = await queueWithSessions(2_500);
    await load(queue, ["a-0", "a-1"], inSession);
    const source = await openSource(queue, SESSIONS);
    const deliveries = await receiveAll(source, 2);
    await sleep(6_000);
    expect(await source.acknowledge(deliveries)).toBe(2);
  });

  test("counts messages of a session whose lock is lost as lost, and gets them again in their order", async () => {
    const queue = await queueWithSessions();
    await load(
      queue,
      numbered(0, 30).map((name) => name.replace("m", "a-")),
      inSession,
    );
    const source = await openSource(queue, SESSIONS);
    const deliveries = await receiveAll(source, 10);
    await server().expireLocks(queue);
    await sleep(600);
    expect(await source.acknowledge(deliveries)).toBe(0);
    const bySession = await readAll(source, 30);
    expect(bySession.get("a")).toEqual(Array.from({ length: 30 }, (_, i) => i));
  });

  test("gives back what is released, at once or later, and goes on with the session", async () => {
    const queue = await queueWithSessions();
    await load(queue, ["a-0", "a-1", "a-2"], inSession);
    const source = await openSource(queue, SESSIONS);
    const [first, second, third] = (await receiveAll(source, 3)) as [Delivery, Delivery, Delivery];
    await source.release([first], 0);
    await source.release([second], 700);
    const again = await receiveAll(source, 1);
    expect(again).toMatchObject([{ attempt: 2, message: { brokerMessageId: first.message.brokerMessageId } }]);
    expect(await source.acknowledge([third, ...again])).toBe(2);
    const later = await receiveAll(source, 1);
    expect(later).toMatchObject([{ attempt: 2, message: { brokerMessageId: second.message.brokerMessageId } }]);
    expect(await source.acknowledge(later)).toBe(1);
  });

  test("loses nothing where its connection drops, again and again", { timeout: 120_000 }, async () => {
    const queue = await queueWithSessions(5_000);
    await load(queue, spread(20, 50), inSession);
    const source = await openSource(queue, SESSIONS);
    await server().beginOutage({ kind: "drop-connections", everyMs: 300, forMs: 4_000 });
    const seen = new Set<string>();
    await eventually(async () => {
      const deliveries = await source.receive(BATCH).catch(() => []);
      for (const text of texts(deliveries)) seen.add(text);
      await source.acknowledge(deliveries).catch(() => 0);
      return (await server().counts(queue)).completed === 1_000;
    }, 90_000);
    expect([...seen].toSorted()).toEqual(spread(20, 50).toSorted());
    expect(await server().counts(queue)).toMatchObject({ active: 0, locked: 0, deadLettered: 0 });
  });

  test("gives a session up whose settlement the broker refused: its messages come again", async () => {
    const queue = await queueWithSessions();
    await load(queue, ["a-0", "a-1"], inSession);
    const source = await openSource(queue, SESSIONS);
    const deliveries = await receiveAll(source, 2);
    await server().injectFault({ kind: "answer-settlements", entity: queue, condition: "amqp:internal-error", times: 1 });
    await expect(source.acknowledge(deliveries)).rejects.toMatchObject({ code: "broker_unavailable", retryable: true });
    const again = await receiveAll(source, 1);
    expect(texts(again)).toEqual(["a-0"]);
    expect(await source.acknowledge(again)).toBe(1);
    expect(await server().counts(queue)).toMatchObject({ active: 0, locked: 0, completed: 2 });
  });

  test("closes at once while it waits for sessions, and gives up those that it has", async () => {
    const queue = await queueWithSessions();
    const waiting = await openSource(queue, SESSIONS);
    await waiting.receive({ ...BATCH, maxWaitMs: 300 });
    await load(queue, spread(5, 10), inSession);
    await receiveAll(waiting, 20);
    await waiting.close();
    await eventually(async () => (await server().counts(queue)).locked === 0, 10_000);
    const bySession = await readAll(await openSource(queue, SESSIONS), 50);
    for (const numbers of bySession.values()) expect(numbers).toEqual(Array.from({ length: 10 }, (_, i) => i));
  });

  test("is told of an outage after some seconds, and that it is over although no session has messages", { timeout: 90_000 }, async () => {
    const queue = await queueWithSessions();
    const source = await openSource(queue, SESSIONS);
    expect(await source.receive({ ...BATCH, maxWaitMs: 300 })).toEqual([]);
    await server().beginOutage({ kind: "refuse-connections", forMs: 60_000 });
    await expect(source.receive({ ...BATCH, maxWaitMs: 300_000 })).rejects.toMatchObject({ code: "broker_unavailable", retryable: true });
    await server().clearFaults();
    await eventually(
      () =>
        source.receive({ ...BATCH, maxWaitMs: 200 }).then(
          () => true,
          () => false,
        ),
      30_000,
    );
    await publish(queue, [contentOf("a-0")]);
    expect(texts(await receiveAll(source, 1, 20_000))).toEqual(["a-0"]);
  });
});

function contentOf(payload: string): MessageContent {
  return {
    payloadKind: "bytes",
    payload: Buffer.from(payload),
    attributes: [],
    system: [],
    key: null,
    orderingKey: "",
    contentType: "",
    ...inSession(payload),
  };
}
