import { EventHubProducerClient, earliestEventPosition } from "@azure/event-hubs";
import { describe, expect, it } from "vitest";
import { bodies, hubSuite, OPTIONS, to } from "./support.ts";

const suite = hubSuite();
const { freshHub, read } = suite;

describe("what an event hub tells of itself", () => {
  it("are its partitions, and of each its first and last event", async () => {
    const { hub, producer } = await freshHub({ partitions: 3 });
    expect(await producer.getEventHubProperties()).toMatchObject({ name: hub, partitionIds: ["0", "1", "2"] });
    expect(await producer.getPartitionProperties("2")).toMatchObject({
      partitionId: "2",
      eventHubName: hub,
      isEmpty: true,
      beginningSequenceNumber: 0,
      lastEnqueuedSequenceNumber: -1,
    });
    await producer.sendBatch(bodies(3), to(2));
    const [, , last] = await suite.server.messages(`${hub}/Partitions/2`);
    const properties = await producer.getPartitionProperties("2");
    expect(properties).toMatchObject({ isEmpty: false, lastEnqueuedSequenceNumber: 2, lastEnqueuedOffset: last?.offset });
    expect(properties.lastEnqueuedOnUtc).toEqual(last?.enqueuedAt);
  });

  it("is that a partition, a consumer group or a hub is missing", async () => {
    const { producer, consumer, hub } = await freshHub({ partitions: 2 });
    await expect(producer.getPartitionProperties("2")).rejects.toMatchObject({ code: "ArgumentOutOfRangeError" });
    await expect(producer.sendBatch(bodies(1), to(2))).rejects.toMatchObject({ code: "ArgumentOutOfRangeError" });
    const missing = { code: "MessagingEntityNotFoundError" };
    const noHub = new EventHubProducerClient(suite.server.connectionString, "no-hub", OPTIONS);
    suite.onEnd(() => noHub.close());
    await expect(noHub.sendBatch(bodies(1))).rejects.toMatchObject(missing);
    await expect(noHub.getEventHubProperties()).rejects.toMatchObject(missing);
    const noGroup = read(consumer("no-group"), "0", earliestEventPosition);
    await expect.poll(() => noGroup.errors.map(({ code }) => code)).toContain(missing.code);
    await suite.server.deleteEntity(hub);
    await expect.poll(() => producer.sendBatch(bodies(1)).catch(({ code }) => code)).toBe(missing.code);
  });
});
