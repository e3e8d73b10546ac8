import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { Delivery, Source } from "../../shared/core/ports/source.ts";
import { payloadText } from "../contract/support-messages.ts";
import { useServiceBus } from "./support-service-bus.ts";
import { numbered, receiveAll, texts } from "./support-sources.ts";

const { server, openSource, queueOf, load } = useServiceBus();

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
      all.push(...(await receiveAll(source, 2_000)));
      await server().dropConnections();
    }
    all.push(...(await receiveAll(source, 2_000, 3_000)));
    // What was on its way when the connection dropped is locked, and nobody has it.
    expect(all.length).toBeGreaterThanOrEqual(10_000);
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
