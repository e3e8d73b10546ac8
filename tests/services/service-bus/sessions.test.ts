import type { ServiceBusSessionReceiver } from "@azure/service-bus";
import { describe, expect, it } from "vitest";
import { BRIEFLY, bodiesOf, ONE_TRY, receive, receiveOne, serverSuite } from "./support.ts";

const suite = serverSuite();
const SHORTLY = { retryOptions: { ...ONE_TRY, timeoutInMs: 1_500 } };
const NO_RENEWAL = { maxAutoLockRenewalDurationInMs: 0 };

const freshQueue = (lockMs = 60_000) => suite.freshQueue({ requiresSession: true, lockMs });
const complete = async (receiver: ServiceBusSessionReceiver, count: number) => {
  const messages = await receive(receiver, count);
  for (const message of messages) await receiver.completeMessage(message);
  return bodiesOf(messages);
};

describe("a session", () => {
  it("gives its own messages only, in their order", async () => {
    const { sender, client, name } = await freshQueue();
    await sender.sendMessages(["a", "b", "a", "b", "a"].map((sessionId, body) => ({ sessionId, body })));
    const [a, b] = [await client.acceptSession(name, "a"), await client.acceptSession(name, "b")];
    expect([await complete(a, 3), await complete(b, 2)]).toEqual([
      [0, 2, 4],
      [1, 3],
    ]);
    await sender.sendMessages({ sessionId: "a", body: "more" });
    expect(await complete(a, 1)).toEqual(["more"]);
  });

  it("may be had by name before it has messages", async () => {
    const { sender, client, name } = await freshQueue();
    const receiver = await client.acceptSession(name, "a");
    await sender.sendMessages({ sessionId: "a", body: "one" });
    expect(await complete(receiver, 1)).toEqual(["one"]);
  });

  it("is one receiver's at a time", async () => {
    const { sender, client, name } = await freshQueue();
    await sender.sendMessages({ sessionId: "a", body: "one" });
    const receiver = await client.acceptSession(name, "a");
    await expect(suite.client().acceptSession(name, "a")).rejects.toMatchObject({ code: "SessionCannotBeLocked" });
    await receiver.close();
    expect(await complete(await suite.client().acceptSession(name, "a"), 1)).toEqual(["one"]);
  });

  it("gives back uncounted what its receiver has in hand when that is closed", async () => {
    const { sender, client, name } = await freshQueue();
    await sender.sendMessages([
      { sessionId: "a", body: "one" },
      { sessionId: "a", body: "two" },
    ]);
    const receiver = await client.acceptSession(name, "a");
    await receive(receiver, 2);
    await receiver.close();
    const again = await receive(await client.acceptSession(name, "a"), 2);
    expect(again.map(({ body, deliveryCount }) => [body, deliveryCount])).toEqual([
      ["one", 0],
      ["two", 0],
    ]);
  });

  it("keeps a state", async () => {
    const { client, name } = await freshQueue();
    const receiver = await client.acceptSession(name, "a");
    expect(await receiver.getSessionState()).toBeNull();
    await receiver.setSessionState({ step: 3 });
    await receiver.close();
    expect(await (await client.acceptSession(name, "a")).getSessionState()).toEqual({ step: 3 });
  });

  it("lets its messages be peeked, deferred and dead-lettered", async () => {
    const { sender, client, name } = await freshQueue();
    await sender.sendMessages(["a", "a", "b"].map((sessionId, body) => ({ sessionId, body })));
    const receiver = await client.acceptSession(name, "a");
    expect(bodiesOf(await receiver.peekMessages(5))).toEqual([0, 1]);
    const [deferred, dead] = await receive(receiver, 2);
    if (deferred?.sequenceNumber && dead) {
      await receiver.deferMessage(deferred);
      await receiver.deadLetterMessage(dead, { deadLetterReason: "Spoilt", deadLetterErrorDescription: "" });
      const [again] = await receiver.receiveDeferredMessages(deferred.sequenceNumber);
      if (again) await receiver.completeMessage(again);
    }
    expect(await suite.server.counts(name)).toMatchObject({ active: 1, deferred: 0, deadLettered: 1, completed: 1 });
    expect((await receiveOne(client.createReceiver(name, { subQueueType: "deadLetter" }))).body).toBe(1);
  });
});

describe("the next session", () => {
  it("is one that has messages and no receiver", async () => {
    const { sender, client, name } = await freshQueue();
    await sender.sendMessages(["a", "b"].map((sessionId) => ({ sessionId, body: sessionId })));
    const [first, second] = [await client.acceptNextSession(name), await client.acceptNextSession(name)];
    expect([first.sessionId, second.sessionId].sort()).toEqual(["a", "b"]);
    expect(await complete(first, 1)).toEqual([first.sessionId]);
  });

  it("is waited for, and comes with its first message", async () => {
    const { sender, client, name } = await freshQueue();
    const accepting = client.acceptNextSession(name);
    await sender.sendMessages({ sessionId: "late", body: "one" });
    const receiver = await accepting;
    expect([receiver.sessionId, await complete(receiver, 1)]).toEqual(["late", ["one"]]);
  });

  it("is not waited for longer than the client wants", async () => {
    const { sender, name } = await freshQueue();
    await expect(suite.client(SHORTLY).acceptNextSession(name)).rejects.toMatchObject({ code: "ServiceTimeout" });
    await sender.sendMessages({ sessionId: "a", body: "one" });
    expect((await suite.client().acceptNextSession(name)).sessionId).toBe("a");
  });

  it("is nobody's who has gone while waiting", async () => {
    const { name } = await freshQueue();
    const waiting = suite.client().acceptNextSession(name);
    waiting.catch(() => undefined);
    await expect.poll(() => suite.server.links(name)).toBe(1);
    await suite.server.dropConnections();
    const client = suite.client();
    await client.createSender(name).sendMessages({ sessionId: "a", body: "one" });
    expect((await client.acceptNextSession(name)).sessionId).toBe("a");
  });
});

describe("the lock of a session", () => {
  it("expires: its receiver is told, and its messages come again, counted", async () => {
    const { sender, client, name } = await freshQueue(3_000);
    await sender.sendMessages({ sessionId: "a", body: "one" });
    const receiver = await client.acceptSession(name, "a", NO_RENEWAL);
    const message = await receiveOne(receiver);
    const told = new Promise((resolve) => {
      receiver.subscribe({ processMessage: async () => undefined, processError: async ({ error }) => resolve(error) });
    });
    expect(await told).toMatchObject({ code: "SessionLockLost" });
    await expect(receiver.completeMessage(message)).rejects.toMatchObject({ code: "SessionLockLost" });
    const again = await receiveOne(await suite.client().acceptSession(name, "a", NO_RENEWAL));
    expect([again.body, again.deliveryCount]).toEqual(["one", 1]);
  });

  it("lasts longer when it is renewed", async () => {
    const { sender, client, name } = await freshQueue(2_000);
    await sender.sendMessages({ sessionId: "a", body: "one" });
    const receiver = await client.acceptSession(name, "a", NO_RENEWAL);
    const before = receiver.sessionLockedUntilUtc;
    expect((await receiver.renewSessionLock()) > before).toBe(true);
    const renewing = setInterval(() => receiver.renewSessionLock().catch(() => undefined), 150);
    suite.onEnd(() => clearInterval(renewing));
    await expect.poll(() => Date.now() > before.getTime() + 300).toBe(true);
    expect(await complete(receiver, 1)).toEqual(["one"]);
  });

  it("outlives the connection, and ends when the tests ask for it", async () => {
    const { sender, client, name } = await freshQueue();
    await sender.sendMessages({ sessionId: "a", body: "one" });
    await client.acceptSession(name, "a");
    await suite.server.dropConnections();
    const other = suite.client();
    await expect(other.acceptSession(name, "a")).rejects.toMatchObject({ code: "SessionCannotBeLocked" });
    expect(await suite.server.expireLocks(name)).toBe(1);
    expect(await complete(await other.acceptSession(name, "a"), 1)).toEqual(["one"]);
  });
});

describe("a queue that requires sessions", () => {
  it("refuses messages and receivers without one", async () => {
    const { sender, receiver, name } = await freshQueue();
    await expect(sender.sendMessages([{ body: "with", sessionId: "a" }, { body: "without" }])).rejects.toThrow(/SessionId was not set/);
    expect(await suite.server.counts(name)).toMatchObject({ enqueued: 0 });
    await expect(receiver.receiveMessages(1, BRIEFLY)).rejects.toThrow(/requires sessions/);
  });

  it("is the only one whose sessions can be had", async () => {
    const { client, name } = await suite.freshQueue();
    await expect(client.acceptSession(name, "a")).rejects.toMatchObject({ code: "SessionCannotBeLocked" });
  });
});
