import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { endsWithin } from "../../shared/adapters/support/within.ts";
import type { Delivery, Source } from "../../shared/core/ports/source.ts";
import { runUntilKilled, type Sayings } from "../contract/support-kills.ts";
import { messageOf, payloadText } from "../contract/support-messages.ts";
import { useServiceBus } from "./support-service-bus.ts";
import { eventually, numbered, receiveAll, texts } from "./support-sources.ts";

const { server, lines, openBroker, openSource, queueOf, load } = useServiceBus();

const BRIEFLY = { maxMessages: 1_000, maxBytes: 8_000_000, maxWaitMs: 200 };
const UNTIL_CLOSED = fileURLToPath(new URL("../services/service-bus-until-closed.ts", import.meta.url));

/** What was read and settled of a queue: how often each message came, and how often its settlement was counted. */
interface Reading {
  came: Map<string, number>;
  settled: number;
  failures: unknown[];
}

/** Receives and settles, with the next batch on its way meanwhile, until the queue is empty. */
async function readToTheEnd(source: Source, queue: string, batch = 1_000): Promise<Reading> {
  const reading: Reading = { came: new Map(), settled: 0, failures: [] };
  const settle = async (deliveries: readonly Delivery[]) => {
    reading.settled += await source.acknowledge(deliveries).catch((error) => {
      reading.failures.push(error);
      return 0;
    });
  };
  const isEmpty = async () => {
    const { active, locked } = await server().counts(queue);
    return active + locked === 0;
  };
  let settling: Promise<void> = Promise.resolve();
  do {
    const deliveries = await source.receive({ maxMessages: batch, maxBytes: 8_000_000, maxWaitMs: 200 }).catch((error) => {
      reading.failures.push(error);
      return [];
    });
    for (const { message } of deliveries) reading.came.set(payloadText(message), (reading.came.get(payloadText(message)) ?? 0) + 1);
    await settling;
    settling = settle(deliveries);
  } while (!(await isEmpty()));
  await settling;
  return reading;
}

describe("a connection to Service Bus that drops", () => {
  test("again and again loses no message, and each is settled in the end", { timeout: 120_000 }, async () => {
    const queue = await queueOf({ lockMs: 5_000 });
    await load(queue, numbered(0, 5_000));
    const source = await openSource(queue);
    for (const everyMs of [300, 100]) {
      await server().beginOutage({ kind: "drop-connections", everyMs, forMs: 5_000 });
      await receiveAll(source, 10, 1_000).catch(() => []);
    }
    const { came } = await readToTheEnd(source, queue);
    expect([...came.keys()].toSorted()).toEqual(numbered(0, 5_000).toSorted());
    expect(await server().counts(queue)).toMatchObject({ active: 0, locked: 0, deadLettered: 0, completed: 5_000 });
  });

  test("leaves what is handed over ours: it is settled over the next one, once", async () => {
    const queue = await queueOf();
    await load(queue, numbered(0, 3_000));
    const source = await openSource(queue);
    const deliveries = await receiveAll(source, 3_000);
    expect(await server().dropConnections()).toBeGreaterThan(0);
    await sleep(500);
    expect(await source.acknowledge(deliveries)).toBe(3_000);
    expect(await source.acknowledge(deliveries)).toBe(0);
    expect(await server().counts(queue)).toMatchObject({ active: 0, locked: 0, completed: 3_000 });
  });

  test("goes on bringing messages however often it drops, and however many are not settled", async () => {
    const queue = await queueOf();
    await load(queue, numbered(0, 12_000));
    const source = await openSource(queue);
    const all: Delivery[] = [];
    for (let round = 0; round < 5; round++) {
      all.push(...(await receiveAll(source, 1_000)));
      await server().dropConnections();
    }
    all.push(...(await receiveAll(source, 12_000, 10_000)));
    // What was on its way when the connection dropped is locked, and nobody has it.
    expect(await server().counts(queue)).toMatchObject({ active: 0, locked: 12_000 });
    expect(all.length).toBeGreaterThan(2_000);
    expect(new Set(texts(all)).size).toBe(all.length);
    expect(await source.acknowledge(all)).toBe(all.length);
    expect(await server().counts(queue)).toMatchObject({ completed: all.length });
  });

  test.each(["before", "after"] as const)("%s a settlement took effect has it asked for again, and none is lost", async (when) => {
    const queue = await queueOf();
    await load(queue, numbered(0, 20));
    const source = await openSource(queue);
    const deliveries = await receiveAll(source, 20);
    await server().injectFault({ kind: "drop-at", event: "settlement", when, nth: 5, entity: queue });
    const count = await source.acknowledge(deliveries);
    expect(await server().counts(queue)).toMatchObject({ active: 0, locked: 0, completed: 20 });
    if (when === "before") expect(count).toBeGreaterThan(0);
    expect(await source.receive({ maxMessages: 10, maxBytes: 1_000_000, maxWaitMs: 100 })).toEqual([]);
  });
});

describe("a Service Bus that does not answer", () => {
  test("because it refuses connections is told after some seconds, and is read again when it is back", { timeout: 120_000 }, async () => {
    const queue = await queueOf();
    await load(queue, numbered(0, 10));
    const source = await openSource(queue);
    const deliveries = await receiveAll(source, 10);
    await server().beginOutage({ kind: "refuse-connections", forMs: 120_000 });
    const failure = await source.receive({ ...BRIEFLY, maxWaitMs: 300_000 }).catch((error) => error);
    expect(failure).toMatchObject({ code: "broker_unavailable", retryable: true, message: expect.stringContaining(queue) });
    await server().clearFaults();
    await load(queue, numbered(10, 20));
    const seen = new Set<string>();
    await eventually(async () => {
      for (const text of texts(await source.receive(BRIEFLY).catch(() => []))) seen.add(text);
      return seen.size === 10;
    }, 60_000);
    // Their locks have been ours all the while.
    expect(await source.acknowledge(deliveries)).toBe(10);
  });

  test("to a first receive is told after some seconds", { timeout: 120_000 }, async () => {
    const queue = await queueOf();
    await server().beginOutage({ kind: "be-silent", forMs: 120_000 });
    const source = await openSource(queue);
    const failure = await source.receive({ ...BRIEFLY, maxWaitMs: 300_000 }).catch((error) => error);
    expect(failure).toMatchObject({ code: "broker_unavailable", retryable: true });
    await server().clearFaults();
    await load(queue, numbered(0, 3));
    await eventually(async () => (await source.receive(BRIEFLY).catch(() => [])).length > 0, 60_000);
  });

  test("for some seconds is waited for: what is settled meanwhile fails in bounded time, and comes again", {
    timeout: 90_000,
  }, async () => {
    const queue = await queueOf({ lockMs: 5_000 });
    await load(queue, numbered(0, 20));
    const source = await openSource(queue);
    const deliveries = await receiveAll(source, 20);
    await server().beginOutage({ kind: "be-silent", forMs: 60_000 });
    await expect(source.acknowledge(deliveries)).rejects.toMatchObject({ code: "broker_unavailable", retryable: true });
    await server().clearFaults();
    const reading = await readToTheEnd(source, queue);
    expect(reading.failures).toEqual([]);
    expect(await server().counts(queue)).toMatchObject({ active: 0, locked: 0, completed: 20 });
  });

  test.each([1, 1_000])("with success to settlements over a link, %i times, is asked by the tokens of the messages", async (times) => {
    const queue = await queueOf({ lockMs: 5_000 });
    await load(queue, numbered(0, 10));
    const source = await openSource(queue);
    const deliveries = await receiveAll(source, 10);
    await server().injectFault({ kind: "answer-settlements", entity: queue, condition: "com.microsoft:server-busy", times });
    expect(await source.acknowledge(deliveries)).toBe(10);
    expect(await server().counts(queue)).toMatchObject({ active: 0, locked: 0, completed: 10 });
  });

  test("to prolong locks loses them, says so once, and brings their messages again", async () => {
    const queue = await queueOf({ lockMs: 3_000 });
    await load(queue, numbered(0, 50));
    const source = await openSource(queue);
    const deliveries = await receiveAll(source, 50);
    await server().beginOutage({ kind: "refuse-connections", forMs: 60_000 });
    await sleep(5_000);
    await server().clearFaults();
    expect(await source.acknowledge(deliveries)).toBe(0);
    expect(lines.filter(({ event }) => event.includes("prolonging"))).toMatchObject([{ fields: { locks: expect.any(Number) } }]);
    const again = await receiveAll(source, 50, 20_000);
    expect(new Set(again.map(({ attempt }) => attempt))).toEqual(new Set([2]));
    expect(await source.acknowledge(again)).toBe(50);
  });

  test("while it is slow loses nothing and settles nothing twice", async () => {
    const queue = await queueOf();
    await load(queue, numbered(0, 200));
    await server().injectFault({ kind: "delay-answers", entity: queue, ms: 700 });
    await server().injectFault({ kind: "throttle", entity: queue, messagesPerS: 150 });
    const { came, settled, failures } = await readToTheEnd(await openSource(queue), queue, 50);
    expect(failures).toEqual([]);
    expect(settled).toBe(200);
    expect([...came.values()].every((count) => count === 1)).toBe(true);
  });
});

describe("closing", () => {
  /** The SDK by itself takes a minute. */
  const WITHIN_MS = 25_000;

  test.each(["be-silent", "refuse-connections"] as const)(
    "ends in time while the broker does %s, with messages held, and out, and delayed",
    async (kind) => {
      const queue = await queueOf();
      await load(queue, numbered(0, 3_000));
      const broker = await openBroker();
      const source = await broker.openSource({ id: "x", topic: queue, subscription: "", own: { entity: "queue" } });
      const deliveries = await receiveAll(source, 2_000);
      await source.release(deliveries.slice(0, 100), 60_000);
      await broker.publisher.publish(queue, [messageOf("x")]);
      await server().beginOutage({ kind, forMs: 60_000 });
      const startedMs = performance.now();
      await broker.close();
      expect(performance.now() - startedMs).toBeLessThan(WITHIN_MS);
    },
  );

  test.each([{ sessions: true }, { sessions: false }])("ends in time while the first link opens, with $sessions", async (own) => {
    const queue = await queueOf({ requiresSession: own.sessions });
    await server().beginOutage({ kind: "be-silent", forMs: 60_000 });
    const source = await openSource(queue, own);
    const receiving = source.receive({ ...BRIEFLY, maxWaitMs: 30_000 });
    await sleep(200);
    expect(await endsWithin(WITHIN_MS, source.close())).toBe(true);
    expect(await receiving).toEqual([]);
  });

  test.each([false, true])("leaves nothing that keeps the process, the broker silent: %s", async (isSilent) => {
    const queue = await queueOf();
    await load(queue, numbered(0, 100));
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", UNTIL_CLOSED, server().connectionString, queue]);
    const ended = once(child, "exit");
    await once(child.stdout, "data");
    if (isSilent) await server().beginOutage({ kind: "be-silent", forMs: 60_000 });
    child.stdin.write("close");
    const closed = once(child.stdout, "data");
    await closed;
    const timer = setTimeout(() => child.kill("SIGKILL"), WITHIN_MS);
    expect(await ended).toEqual([0, null]);
    clearTimeout(timer);
  });
});

describe("a process that is killed", () => {
  test("loses nothing that it held: it comes again when the locks end", { timeout: 90_000 }, async () => {
    const queue = await queueOf({ lockMs: 3_000 });
    await load(queue, numbered(0, 4_000));
    const said = (sayings: Sayings, what: string) => sayings.get(what) ?? new Set<string>();
    const acknowledged = new Set<string>();
    const tried = new Set<string>();
    for (const afterMs of [100, 400, 2_000]) {
      if (afterMs > 400 && acknowledged.size > 0) break;
      const sayings = await runUntilKilled("service-bus-until-killed.ts", [server().connectionString, queue], afterMs);
      for (const name of said(sayings, "acknowledged")) acknowledged.add(name);
      for (const name of said(sayings, "try-acknowledge")) tried.add(name);
    }
    expect(acknowledged.size).toBeGreaterThan(0);
    const { came } = await readToTheEnd(await openSource(queue), queue);
    const left = new Set(came.keys());
    expect([...left.intersection(acknowledged)]).toEqual([]);
    expect([...new Set(numbered(0, 4_000)).difference(left).difference(tried)]).toEqual([]);
    expect(await server().counts(queue)).toMatchObject({ active: 0, locked: 0, completed: 4_000 });
  });
});
