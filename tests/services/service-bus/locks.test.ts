import { describe, expect, it } from "vitest";
import { BRIEFLY, receive, receiveOne, serverSuite } from "./support.ts";

const suite = serverSuite();
const { freshQueue } = suite;
const NO_RENEWAL = { maxAutoLockRenewalDurationInMs: 0 };

describe("a lock of a message", () => {
  it("expires by itself, and the message waits again, counted, before later ones", async () => {
    const { sender, client, name } = await freshQueue({ lockMs: 300 });
    await sender.sendMessages([{ body: "one" }, { body: "two" }]);
    await receiveOne(client.createReceiver(name, NO_RENEWAL));
    await expect.poll(() => suite.server.counts(name)).toMatchObject({ active: 2, locked: 0 });
    expect((await suite.server.messages(name)).map(({ deliveryCount, state }) => [deliveryCount, state])).toEqual([
      [1, "active"],
      [0, "active"],
    ]);
  });

  it("is another one at the next delivery", async () => {
    const { sender, receiver, name } = await freshQueue();
    await sender.sendMessages([{ body: "one" }, { body: "two" }]);
    const first = await receiveOne(receiver);
    await suite.server.expireLocks(name);
    const again = await receive(receiver, 2);
    expect(again.map(({ body, deliveryCount }) => [body, deliveryCount])).toEqual([
      ["one", 1],
      ["two", 0],
    ]);
    expect(again[0]?.lockToken).not.toBe(first.lockToken);
  });

  it("settles nothing once it is lost", async () => {
    const { sender, receiver, name } = await freshQueue();
    await sender.sendMessages([{ body: "one" }, { body: "two" }]);
    const [one, two] = await receive(receiver, 2);
    expect(await suite.server.expireLocks(name)).toBe(2);
    if (one) await expect(receiver.completeMessage(one)).rejects.toMatchObject({ code: "MessageLockLost" });
    if (two) await expect(receiver.abandonMessage(two)).rejects.toMatchObject({ code: "MessageLockLost" });
    expect(await suite.server.counts(name)).toMatchObject({ active: 2, completed: 0 });
  });

  it("lasts longer when it is renewed, and cannot be renewed once it is lost", async () => {
    const { sender, client, name } = await freshQueue({ lockMs: 2_000 });
    const receiver = client.createReceiver(name, NO_RENEWAL);
    await sender.sendMessages([{ body: "renewed" }, { body: "not" }]);
    const [renewed, not] = await receive(receiver, 2);
    const before = renewed?.lockedUntilUtc as Date;
    const renewing = setInterval(() => renewed && receiver.renewMessageLock(renewed).catch(() => undefined), 150);
    suite.onEnd(() => clearInterval(renewing));
    await expect.poll(() => suite.server.counts(name)).toMatchObject({ active: 1, locked: 1 });
    const [locked] = (await suite.server.messages(name)).filter(({ state }) => state === "locked");
    expect((locked?.lockedUntil as Date) > before).toBe(true);
    clearInterval(renewing);
    if (not) await expect(receiver.renewMessageLock(not)).rejects.toMatchObject({ code: "MessageLockLost" });
    if (renewed) await receiver.completeMessage(renewed);
    expect(await suite.server.counts(name)).toMatchObject({ completed: 1 });
  });

  it("is renewed by the client's own renewer for as long as it was asked to", async () => {
    const { sender, receiver, name } = await freshQueue({ lockMs: 4_000 });
    await sender.sendMessages({ body: "kept" });
    const message = await receiveOne(receiver);
    const until = message.lockedUntilUtc as Date;
    await expect.poll(async () => ((await suite.server.messages(name))[0]?.lockedUntil as Date) > until).toBe(true);
    await receiver.completeMessage(message);
  });

  it("outlives its link and its connection, and can be settled from another one", async () => {
    const { sender, receiver, name } = await freshQueue();
    await sender.sendMessages([{ body: "one" }, { body: "two" }]);
    const [one, two] = await receive(receiver, 2);
    await suite.server.dropConnections();
    expect(await suite.server.counts(name)).toMatchObject({ active: 0, locked: 2 });
    await receiver.close();
    const other = suite.client().createReceiver(name);
    if (one) await other.completeMessage(one);
    if (two) await other.deadLetterMessage(two, { deadLetterReason: "Late", deadLetterErrorDescription: "after a drop" });
    expect(await suite.server.counts(name)).toMatchObject({ locked: 0, completed: 1, deadLettered: 1 });
    expect(await other.receiveMessages(1, BRIEFLY)).toEqual([]);
  });
});

describe("a message that is delivered in vain", () => {
  it("is dead-lettered after as many deliveries as the queue allows", async () => {
    const { sender, receiver, client, name } = await freshQueue({ maxDeliveryCount: 3 });
    await sender.sendMessages({ body: "bad" });
    await receiver.abandonMessage(await receiveOne(receiver));
    await receiver.abandonMessage(await receiveOne(receiver));
    await receiveOne(receiver);
    await suite.server.expireLocks(name);
    expect(await suite.server.counts(name)).toMatchObject({ active: 0, locked: 0, deadLettered: 1 });
    const dead = await receiveOne(client.createReceiver(name, { subQueueType: "deadLetter" }));
    expect([dead.deadLetterReason, dead.deadLetterErrorDescription, dead.deliveryCount]).toEqual([
      "MaxDeliveryCountExceeded",
      "Message could not be consumed after 3 delivery attempts.",
      3,
    ]);
  });

  it("comes from the dead-letter queue as often as need be", async () => {
    const { sender, receiver, client, name } = await freshQueue({ maxDeliveryCount: 1 });
    await sender.sendMessages({ body: "bad" });
    await receiver.abandonMessage(await receiveOne(receiver));
    const dead = client.createReceiver(name, { subQueueType: "deadLetter" });
    for (let i = 0; i < 3; i++) await dead.abandonMessage(await receiveOne(dead));
    await dead.completeMessage(await receiveOne(dead));
    expect(await suite.server.counts(name)).toMatchObject({ deadLettered: 0 });
  });
});
