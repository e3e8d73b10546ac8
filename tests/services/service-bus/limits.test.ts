import { describe, expect, it } from "vitest";
import { BRIEFLY, bodiesOf, receive, receiveOne, type SequenceNumber, serverSuite } from "./support.ts";

const suite = serverSuite();
const { freshQueue } = suite;

describe("time", () => {
  it("makes a scheduled message active when it is due, under a new number, and not before", async () => {
    const { sender, receiver, name } = await freshQueue();
    const [number] = await sender.scheduleMessages({ body: "due" }, new Date(Date.now() + 200));
    await sender.scheduleMessages({ body: "not due" }, new Date(Date.now() + 600_000));
    const message = await receiveOne(receiver);
    expect(message.body).toBe("due");
    expect(message.sequenceNumber?.toNumber()).toBeGreaterThan(number?.toNumber() as number);
    expect(await suite.server.counts(name)).toMatchObject({ scheduled: 1, locked: 1, active: 0 });
  });

  it("schedules what is sent with a time of its own", async () => {
    const { sender, receiver, name } = await freshQueue();
    await sender.sendMessages([
      { body: "not due", scheduledEnqueueTimeUtc: new Date(Date.now() + 600_000) },
      { body: "due", scheduledEnqueueTimeUtc: new Date(Date.now() + 200) },
    ]);
    expect((await receiveOne(receiver)).body).toBe("due");
    expect(await suite.server.counts(name)).toMatchObject({ scheduled: 1, locked: 1, active: 0 });
  });

  it("forgets a scheduled message that is cancelled, once", async () => {
    const { sender, name } = await freshQueue();
    const [number] = await sender.scheduleMessages({ body: "never" }, new Date(Date.now() + 60_000));
    await sender.cancelScheduledMessages(number as SequenceNumber);
    expect(await suite.server.counts(name)).toMatchObject({ active: 0, scheduled: 0 });
    await expect(sender.cancelScheduledMessages(number as SequenceNumber)).rejects.toMatchObject({ code: "MessageNotFound" });
  });

  it("drops a message whose time to live is over, its own or the queue's", async () => {
    const own = await freshQueue();
    await own.sender.sendMessages([{ body: "short", timeToLive: 100 }, { body: "long" }]);
    await expect.poll(() => suite.server.counts(own.name)).toMatchObject({ active: 1 });
    expect(bodiesOf(await receive(own.receiver, 1))).toEqual(["long"]);
    const ofQueue = await freshQueue({ defaultTtlMs: 100 });
    await ofQueue.sender.sendMessages({ body: "short" });
    await expect.poll(() => suite.server.counts(ofQueue.name)).toMatchObject({ active: 0, enqueued: 1 });
  });

  it("takes a message id once within the time of duplicate detection, where that is on", async () => {
    const { sender, receiver, name } = await freshQueue({ duplicateDetectionMs: 3_000 });
    const message = { body: "one", messageId: "same" };
    await sender.sendMessages([message, message]);
    await sender.sendMessages(message);
    expect(await suite.server.counts(name)).toMatchObject({ active: 1, enqueued: 1 });
    await receiver.completeMessage(await receiveOne(receiver));
    await expect
      .poll(async () => {
        await sender.sendMessages(message);
        return (await suite.server.counts(name)).active;
      })
      .toBe(1);
  });
});

describe("limits and names", () => {
  it("refuses a message that is too large, and takes the next over the same link", async () => {
    const { sender, receiver } = await freshQueue({ maxMessageBytes: 10_000 });
    await expect(sender.sendMessages({ body: "x".repeat(11_000) })).rejects.toMatchObject({ code: "MessageSizeExceeded" });
    await sender.sendMessages({ body: "small" });
    expect((await receiveOne(receiver)).body).toBe("small");
    expect((await sender.createMessageBatch()).maxSizeInBytes).toBe(10_000);
  });

  it("refuses all of a batch that is larger than the queue has room for", async () => {
    const { sender, receiver, name } = await freshQueue({ maxMessages: 3 });
    await sender.sendMessages([{ body: 1 }, { body: 2 }]);
    await expect(sender.sendMessages([{ body: 3 }, { body: 4 }])).rejects.toMatchObject({ code: "QuotaExceeded" });
    expect(await suite.server.counts(name)).toMatchObject({ active: 2, enqueued: 2 });
    await receiver.completeMessage(await receiveOne(receiver));
    await sender.sendMessages([{ body: 3 }, { body: 4 }]);
    expect(await suite.server.counts(name)).toMatchObject({ active: 3 });
  });

  it("knows a queue by its name in any case", async () => {
    const { sender, client, name } = await freshQueue();
    await sender.sendMessages({ body: "one" });
    expect((await receiveOne(client.createReceiver(name.toUpperCase()))).body).toBe("one");
  });

  it("says of a queue that is missing, or was deleted, that there is none", async () => {
    const { sender, receiver, client, name } = await freshQueue();
    const missing = { code: "MessagingEntityNotFound" };
    await expect(client.createSender("no-queue").sendMessages({ body: 1 })).rejects.toMatchObject(missing);
    await expect(client.createReceiver("no-queue").receiveMessages(1, BRIEFLY)).rejects.toMatchObject(missing);
    await expect(client.createReceiver("no-queue").peekMessages(1)).rejects.toMatchObject(missing);
    await sender.sendMessages({ body: 1 });
    await suite.server.deleteEntity(name);
    await expect(receiver.receiveMessages(1, BRIEFLY)).rejects.toMatchObject(missing);
    await expect.poll(() => sender.sendMessages({ body: 2 }).catch(({ code }) => code)).toBe(missing.code);
  });

  it("tells tests of names that are taken or missing", async () => {
    const { name } = await freshQueue();
    await expect(suite.server.createQueue(name.toUpperCase())).rejects.toThrow(/exists/);
    await expect(suite.server.counts("no-queue")).rejects.toThrow(/no such/);
    await expect(suite.server.deleteEntity("no-queue")).rejects.toThrow(/no such/);
  });
});
