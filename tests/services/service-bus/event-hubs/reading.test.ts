import { setTimeout as sleep } from "node:timers/promises";
import {
  EventHubProducerClient,
  type EventPosition,
  earliestEventPosition,
  latestEventPosition,
  type SubscribeOptions,
} from "@azure/event-hubs";
import { describe, expect, it } from "vitest";
import { bodies, bodiesOf, hubSuite, OPTIONS } from "./support.ts";

const suite = hubSuite();
const { freshHub, read } = suite;

describe("a reader", () => {
  it("begins where it is told to", async () => {
    const { hub, producer, consumer } = await freshHub({ partitions: 1 });
    await producer.sendBatch(bodies(2));
    const [, second] = await suite.server.messages(hub);
    const { offset } = second as { offset: string };
    await sleep(20);
    const between = new Date();
    await sleep(20);
    await producer.sendBatch(bodies(3, 2));
    const from = async (position: EventPosition) => {
      const reading = read(consumer(), "0", position);
      await expect.poll(() => bodiesOf(reading).at(-1)).toBe(4);
      await reading.subscription.close();
      return bodiesOf(reading)[0];
    };
    expect(await from({ offset: "-1" })).toBe(0);
    expect(await from({ offset })).toBe(2);
    expect(await from({ offset, isInclusive: true })).toBe(1);
    expect(await from({ sequenceNumber: 2 })).toBe(3);
    expect(await from({ sequenceNumber: 2, isInclusive: true })).toBe(2);
    expect(await from({ enqueuedOn: between })).toBe(2);
  });

  it("of the latest position gets only what comes after it", async () => {
    const { hub, producer, consumer } = await freshHub({ partitions: 1 });
    await producer.sendBatch(bodies(2));
    const reading = read(consumer(), "0", latestEventPosition);
    await expect.poll(() => suite.server.links(`${hub}/ConsumerGroups`)).toBe(1);
    await producer.sendBatch(bodies(2, 2));
    await expect.poll(() => bodiesOf(reading)).toEqual([2, 3]);
  });

  it("of events that are gone begins at the oldest that is left", async () => {
    const { hub, producer, consumer } = await freshHub({ partitions: 1 });
    await producer.sendBatch(bodies(5));
    await suite.server.truncate(hub, 0, 3);
    for (const position of [earliestEventPosition, { sequenceNumber: 0 }, { offset: "1" }]) {
      const reading = read(consumer(), "0", position);
      await expect.poll(() => bodiesOf(reading)).toEqual([3, 4]);
    }
    expect(await consumer().getPartitionProperties("0")).toMatchObject({ beginningSequenceNumber: 3, lastEnqueuedSequenceNumber: 4 });
  });

  it("of a position that never was is told so", async () => {
    const { producer, consumer } = await freshHub({ partitions: 1 });
    await producer.sendBatch(bodies(2));
    const reading = read(consumer(), "0", { sequenceNumber: 99 });
    await expect.poll(() => reading.errors.map(({ code }) => code)).toContain("ArgumentError");
  });

  it("shares a partition with readers of its own group and of others", async () => {
    const { producer, consumer } = await freshHub({ partitions: 1, consumerGroups: ["other"] });
    await producer.sendBatch(bodies(3));
    const readings = [consumer(), consumer(), consumer("OTHER")].map((client) => read(client, "0", earliestEventPosition));
    for (const reading of readings) await expect.poll(() => bodiesOf(reading)).toEqual([0, 1, 2]);
  });

  it("is the sixth of its group and partition in vain", async () => {
    const { hub, consumer } = await freshHub({ partitions: 1 });
    for (let i = 0; i < 5; i++) read(consumer(), "0", earliestEventPosition);
    await expect.poll(() => suite.server.links(`${hub}/ConsumerGroups`)).toBe(5);
    const sixth = read(consumer(), "0", earliestEventPosition);
    await expect.poll(() => sixth.errors.map(({ code }) => code)).toContain("QuotaExceededError");
  });

  it("of an epoch displaces those of none, or of one that is not higher", async () => {
    const { hub, producer, consumer } = await freshHub({ partitions: 1 });
    await producer.sendBatch(bodies(1));
    const links = () => suite.server.links(`${hub}/ConsumerGroups`);
    const plain = read(consumer(), "0", earliestEventPosition);
    await expect.poll(() => bodiesOf(plain)).toEqual([0]);
    const first = read(consumer(), "0", earliestEventPosition, { ownerLevel: 1 } as SubscribeOptions);
    await expect.poll(() => plain.errors.map(({ code }) => code)).toContain("ReceiverDisconnectedError");
    await plain.subscription.close();
    await expect.poll(() => bodiesOf(first)).toEqual([0]);
    const equal = read(consumer(), "0", earliestEventPosition, { ownerLevel: 1 } as SubscribeOptions);
    await expect.poll(() => first.errors.map(({ code }) => code)).toContain("ReceiverDisconnectedError");
    await first.subscription.close();
    await expect.poll(() => bodiesOf(equal)).toEqual([0]);
    const lower = read(consumer(), "0", earliestEventPosition, { ownerLevel: 0 } as SubscribeOptions);
    await expect.poll(() => lower.errors.map(({ code }) => code)).toContain("ReceiverDisconnectedError");
    await lower.subscription.close();
    expect(equal.errors).toEqual([]);
    await expect.poll(links).toBe(1);
  });

  it("may be told of the partition's last event with each event", async () => {
    const { producer, consumer } = await freshHub({ partitions: 1 });
    await producer.sendBatch(bodies(3));
    const seen: unknown[] = [];
    const subscription = consumer().subscribe(
      "0",
      {
        processEvents: async (_, { lastEnqueuedEventProperties }) => void seen.push(lastEnqueuedEventProperties?.sequenceNumber),
        processError: async () => undefined,
      },
      { startPosition: earliestEventPosition, trackLastEnqueuedEventProperties: true, maxWaitTimeInSeconds: 1 },
    );
    suite.onEnd(() => subscription.close());
    await expect.poll(() => seen).toContain(2);
  });

  it("comes back after its connection was cut, and misses nothing", async () => {
    const { producer, consumer } = await freshHub({ partitions: 1 });
    await producer.sendBatch(bodies(2));
    const reading = read(consumer(), "0", earliestEventPosition);
    await expect.poll(() => bodiesOf(reading)).toEqual([0, 1]);
    await suite.server.dropConnections();
    const sender = new EventHubProducerClient(suite.server.connectionString, producer.eventHubName, OPTIONS);
    suite.onEnd(() => sender.close());
    await sender.sendBatch(bodies(2, 2));
    await expect.poll(() => bodiesOf(reading), { timeout: 20_000 }).toEqual([0, 1, 2, 3]);
  });

  it("gets thousands of events", async () => {
    const { producer, consumer } = await freshHub({ partitions: 1 });
    for (let sent = 0; sent < 5_000; sent += 500) await producer.sendBatch(bodies(500, sent));
    const reading = read(consumer(), "0", earliestEventPosition, { maxBatchSize: 200 });
    await expect.poll(() => reading.events.length, { timeout: 20_000 }).toBe(5_000);
    expect(bodiesOf(reading)).toEqual(Array.from({ length: 5_000 }, (_, body) => body));
  });
});
