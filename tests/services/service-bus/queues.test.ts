import type { ServiceBusReceivedMessage } from "@azure/service-bus";
import { describe, expect, it } from "vitest";
import { openRaw } from "./raw-client.ts";
import { BRIEFLY, bodiesOf, receive, receiveOne, type SequenceNumber, serverSuite } from "./support.ts";

const suite = serverSuite();
const { freshQueue } = suite;

describe("sending and receiving", () => {
  it("delivers what was sent, in its order, numbered and locked", async () => {
    const { sender, receiver, name } = await freshQueue();
    await sender.sendMessages({ body: "first" });
    await sender.sendMessages([{ body: "second" }, { body: "third" }]);
    const messages = await receive(receiver, 3);
    expect(bodiesOf(messages)).toEqual(["first", "second", "third"]);
    expect(messages.map(({ sequenceNumber, deliveryCount, state }) => [sequenceNumber?.toNumber(), deliveryCount, state])).toEqual([
      [1, 0, "active"],
      [2, 0, "active"],
      [3, 0, "active"],
    ]);
    expect(messages.every(({ lockedUntilUtc }) => (lockedUntilUtc as Date) > new Date())).toBe(true);
    expect(await suite.server.counts(name)).toMatchObject({ active: 0, locked: 3, completed: 0, enqueued: 3 });
  });

  it("takes batches, also of one message, and larger ones than a frame", async () => {
    const { sender, receiver } = await freshQueue();
    for (const bodies of [["one"], ["a".repeat(60_000), "b".repeat(60_000), "c".repeat(60_000)]]) {
      const batch = await sender.createMessageBatch();
      for (const body of bodies) expect(batch.tryAddMessage({ body })).toBe(true);
      await sender.sendMessages(batch);
    }
    expect(bodiesOf(await receive(receiver, 4)).map((body) => String(body)[0])).toEqual(["o", "a", "b", "c"]);
  });

  it("gives a message an id that was sent without one, and keeps one that was", async () => {
    const { sender, receiver } = await freshQueue();
    await sender.sendMessages([{ body: 1 }, { body: 2, messageId: "mine" }]);
    const [one, two] = await receive(receiver, 2);
    expect(one?.messageId).toMatch(/^[0-9a-f]{32}$/);
    expect(two?.messageId).toBe("mine");
  });

  it("deals messages out among receivers in turn", async () => {
    const { sender, client, name } = await freshQueue();
    const receivers = [client.createReceiver(name), suite.client().createReceiver(name)];
    const receiving = receivers.map((receiver) => receiver.receiveMessages(5, { maxWaitTimeInMs: 5_000 }));
    await Promise.all(receivers.map((receiver) => receiver.peekMessages(1)));
    await sender.sendMessages(Array.from({ length: 10 }, (_, body) => ({ body })));
    const dealt = await Promise.all(receiving);
    expect(dealt.map(({ length }) => length)).toEqual([5, 5]);
  });

  it("gives away for good what is received in the mode receiveAndDelete", async () => {
    const { sender, client, name } = await freshQueue();
    await sender.sendMessages([{ body: "one" }, { body: "two" }]);
    const messages = await receive(client.createReceiver(name, { receiveMode: "receiveAndDelete" }), 2);
    expect(messages.map(({ lockToken }) => lockToken)).toEqual([undefined, undefined]);
    expect(await suite.server.counts(name)).toMatchObject({ active: 0, locked: 0, completed: 2 });
  });

  it("hands thousands of messages to a subscriber, whose completions count", async () => {
    const { sender, receiver, name } = await freshQueue();
    const count = 5_000;
    for (let sent = 0; sent < count; sent += 1_000) {
      await sender.sendMessages(Array.from({ length: 1_000 }, (_, i) => ({ body: sent + i })));
    }
    const seen = new Set<number>();
    await new Promise<void>((resolve, reject) => {
      const processMessage = async ({ body }: { body: number }) => {
        seen.add(body);
        if (seen.size === count) resolve();
      };
      receiver.subscribe({ processMessage, processError: async ({ error }) => reject(error) }, { maxConcurrentCalls: 100 });
    });
    await receiver.close();
    await expect.poll(() => suite.server.counts(name)).toMatchObject({ active: 0, locked: 0, completed: count });
  });
});

describe("a receive that finds less than it asks for", () => {
  it("ends when its time is over and leaves its link open, again and again", async () => {
    const { sender, receiver } = await freshQueue();
    for (let round = 0; round < 3; round++) expect(await receiver.receiveMessages(10, BRIEFLY)).toEqual([]);
    await sender.sendMessages({ body: "late" });
    expect(bodiesOf(await receiver.receiveMessages(10, { maxWaitTimeInMs: 20_000 }))).toEqual(["late"]);
    // A link that was closed for want of an answer to its drain would be another one now.
    const link = (receiver as unknown as { _batchingReceiver: { link: { isOpen(): boolean; name: string } } })._batchingReceiver.link;
    const { name } = link;
    expect(await receiver.receiveMessages(10, BRIEFLY)).toEqual([]);
    expect([link.isOpen(), link.name]).toEqual([true, name]);
  });

  it("ends also when the last message comes just then and leaves no credit to drain", async () => {
    const { sender, name } = await freshQueue();
    const raw = await openRaw(suite.server);
    suite.onEnd(raw.close);
    await raw.putToken(name);
    const receiver = await raw.openReceiver(name);
    await raw.drain(receiver, 1);
    await sender.sendMessages([{ body: 1 }, { body: 2 }, { body: 3 }]);
    await raw.drain(receiver, 2);
    await raw.drain(receiver, 2);
    expect(await suite.server.counts(name)).toMatchObject({ locked: 3, active: 0 });
  });

  it("loses none of the messages that come while it ends", async () => {
    const { sender, receiver, name } = await freshQueue();
    const count = 300;
    const sending = (async () => {
      for (let body = 0; body < count; body++) await sender.sendMessages({ body });
    })();
    const seen: unknown[] = [];
    while (seen.length < count) {
      const messages = await receiver.receiveMessages(20, { maxWaitTimeInMs: 1 });
      for (const message of messages) await receiver.completeMessage(message);
      seen.push(...bodiesOf(messages));
    }
    await sending;
    expect(seen).toEqual(Array.from({ length: count }, (_, body) => body));
    expect(await suite.server.counts(name)).toMatchObject({ locked: 0, completed: count });
  });
});

describe("looking without receiving", () => {
  it("shows messages of every state in the order of their numbers, and nothing of an empty queue", async () => {
    const { sender, receiver } = await freshQueue();
    expect(await receiver.peekMessages(5)).toEqual([]);
    await sender.sendMessages([{ body: "deferred" }, { body: "locked" }, { body: "active" }]);
    const [first] = (await receive(receiver, 2)) as [ServiceBusReceivedMessage];
    const number = first.sequenceNumber as SequenceNumber;
    await receiver.deferMessage(first);
    await sender.scheduleMessages({ body: "scheduled" }, new Date(Date.now() + 60_000));
    const peeked = await receiver.peekMessages(10, { fromSequenceNumber: number });
    expect(peeked.map(({ body, state }) => [body, state])).toEqual([
      ["deferred", "deferred"],
      ["locked", "active"],
      ["active", "active"],
      ["scheduled", "scheduled"],
    ]);
    expect(bodiesOf(await receiver.peekMessages(1, { fromSequenceNumber: number.add(2) }))).toEqual(["active"]);
  });

  it("tells tests what lies in a queue, with the bytes that were sent", async () => {
    const { sender, receiver, name } = await freshQueue();
    await sender.sendMessages([{ body: "one" }, { body: "two" }]);
    await receiver.abandonMessage(await receiveOne(receiver));
    const messages = await suite.server.messages(name);
    expect(messages.map(({ sequence, state, deliveryCount }) => [sequence, state, deliveryCount])).toEqual([
      [1, "active", 1],
      [2, "active", 0],
    ]);
    expect(messages[1]?.bytes.includes(JSON.stringify("two"))).toBe(true);
    expect(await suite.server.messages(name, 1)).toHaveLength(1);
  });

  it("takes loaded messages like sent ones", async () => {
    const from = await freshQueue();
    const to = await freshQueue();
    await from.sender.sendMessages([{ body: "one" }, { body: "two" }]);
    const messages = await suite.server.messages(from.name);
    await suite.server.load(
      to.name,
      messages.map(({ bytes }) => bytes),
    );
    expect(bodiesOf(await receive(to.receiver, 2))).toEqual(["one", "two"]);
  });
});
