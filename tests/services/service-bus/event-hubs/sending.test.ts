import { earliestEventPosition } from "@azure/event-hubs";
import { describe, expect, it } from "vitest";
import { bodies, bodiesOf, hubSuite, to } from "./support.ts";

const suite = hubSuite();
const { freshHub, read } = suite;

describe("what is sent to an event hub", () => {
  it("comes from its partition in its order, numbered from 0, with offset and time", async () => {
    const { producer, consumer } = await freshHub();
    await producer.sendBatch(bodies(3), to(1));
    const batch = await producer.createBatch(to(1));
    for (const event of bodies(2, 3)) batch.tryAdd(event);
    await producer.sendBatch(batch);
    const reading = read(consumer(), "1", earliestEventPosition);
    await expect.poll(() => bodiesOf(reading)).toEqual([0, 1, 2, 3, 4]);
    expect(reading.events.map(({ sequenceNumber }) => sequenceNumber)).toEqual([0, 1, 2, 3, 4]);
    const offsets = reading.events.map(({ offset }) => Number(offset));
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    expect(new Set(offsets).size).toBe(5);
    expect(reading.events.every(({ enqueuedTimeUtc }) => Date.now() - enqueuedTimeUtc.getTime() < 60_000)).toBe(true);
  });

  it("is spread over the partitions, batch by batch, where it names none", async () => {
    const { hub, producer } = await freshHub({ partitions: 3 });
    for (let i = 0; i < 6; i++) await producer.sendBatch(bodies(2));
    const counts = await Promise.all([0, 1, 2].map((n) => suite.server.counts(`${hub}/Partitions/${n}`)));
    expect(counts.map(({ enqueued }) => enqueued)).toEqual([4, 4, 4]);
    expect(await suite.server.counts(hub)).toMatchObject({ enqueued: 12 });
  });

  it("lies in one partition for each partition key, which it keeps", async () => {
    const { producer, consumer } = await freshHub({ partitions: 4 });
    for (let round = 0; round < 3; round++) {
      for (const partitionKey of ["a", "b", "c", "d", "e", "f"]) await producer.sendBatch([{ body: partitionKey }], { partitionKey });
    }
    const readings = [0, 1, 2, 3].map((n) => read(consumer(), String(n), earliestEventPosition));
    await expect.poll(() => readings.flatMap(({ events }) => events)).toHaveLength(18);
    const homes = new Map<unknown, Set<number>>();
    readings.forEach((reading, n) => {
      for (const { body, partitionKey } of reading.events) {
        expect(partitionKey).toBe(body);
        homes.set(body, (homes.get(body) ?? new Set()).add(n));
      }
    });
    expect([...homes.values()].map(({ size }) => size)).toEqual([1, 1, 1, 1, 1, 1]);
    expect(new Set([...homes.values()].flatMap((home) => [...home])).size).toBeGreaterThan(1);
  });

  it("may be loaded without AMQP, into one partition or into each in turn", async () => {
    const { hub, producer } = await freshHub();
    await producer.sendBatch(bodies(1), to(0));
    const [event] = await suite.server.messages(`${hub}/Partitions/0`);
    const bytes = event?.bytes as Buffer;
    await suite.server.load(hub, [bytes, bytes], 1);
    await suite.server.load(hub, [bytes, bytes]);
    expect(await suite.server.counts(`${hub}/Partitions/0`)).toMatchObject({ active: 2 });
    expect(await suite.server.counts(`${hub}/Partitions/1`)).toMatchObject({ active: 3 });
  });

  it("is refused where it is too large", async () => {
    const { hub, producer } = await freshHub({ partitions: 1, maxMessageBytes: 5_000 });
    await expect(producer.sendBatch([{ body: "x".repeat(6_000) }])).rejects.toMatchObject({ code: "MessageTooLargeError" });
    expect((await producer.createBatch()).maxSizeInBytes).toBe(5_000);
    expect(await suite.server.counts(hub)).toMatchObject({ enqueued: 0 });
  });
});

describe("a fault", () => {
  it("strikes a hub like a queue", async () => {
    const { hub, producer } = await freshHub({ partitions: 1 });
    await suite.server.injectFault({ kind: "answer-sends", condition: "com.microsoft:server-busy", entity: hub });
    await expect(producer.sendBatch(bodies(1))).rejects.toMatchObject({ code: "ServerBusyError" });
    await producer.sendBatch(bodies(1));
    expect(await suite.server.counts(hub)).toMatchObject({ enqueued: 1 });
  });
});
