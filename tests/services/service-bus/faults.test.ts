import { describe, expect, it } from "vitest";
import { ONE_MORE_TRY, receive, receiveOne, serverSuite } from "./support.ts";

const suite = serverSuite();
const { freshQueue } = suite;
/** A send may hit on a link that is just being detached. */
const PATIENT = { maxRetries: 5, timeoutInMs: 5_000, retryDelayInMs: 10 };

describe("answers", () => {
  it.each([
    { condition: "amqp:internal-error", code: "GeneralError" },
    { condition: "com.microsoft:timeout", code: "ServiceTimeout" },
    { condition: "amqp:resource-limit-exceeded", code: "QuotaExceeded" },
    { condition: "com.microsoft:server-busy", code: "ServiceBusy" },
  ])("to sends can be $condition, as often as asked for, and take nothing", async ({ condition, code }) => {
    const { sender, name } = await freshQueue();
    const other = await freshQueue();
    await suite.server.injectFault({ kind: "answer-sends", condition, times: 2, entity: name });
    for (let i = 0; i < 2; i++) await expect(sender.sendMessages([{ body: 1 }, { body: 2 }])).rejects.toMatchObject({ code });
    await other.sender.sendMessages({ body: "elsewhere" });
    expect(await suite.server.counts(name)).toMatchObject({ enqueued: 0 });
    await sender.sendMessages({ body: 3 });
    expect(await suite.server.counts(name)).toMatchObject({ enqueued: 1 });
  });

  it("that say the server is busy are tried again by the client", async () => {
    const { sender, name } = await freshQueue({}, ONE_MORE_TRY);
    await suite.server.injectFault({ kind: "answer-sends", condition: "com.microsoft:server-busy", entity: name });
    await sender.sendMessages({ body: 1 });
    expect(await suite.server.counts(name)).toMatchObject({ enqueued: 1 });
  });

  it("to settlements can be errors, and settle nothing", async () => {
    const { sender, receiver, name } = await freshQueue();
    await sender.sendMessages({ body: 1 });
    const message = await receiveOne(receiver);
    await suite.server.injectFault({ kind: "answer-settlements", condition: "amqp:internal-error", entity: name });
    await expect(receiver.completeMessage(message)).rejects.toThrow(/amqp:internal-error/);
    expect(await suite.server.counts(name)).toMatchObject({ locked: 1, completed: 0 });
  });

  it("can be late, after what they answer has taken effect", async () => {
    const { sender, receiver, name } = await freshQueue();
    await suite.server.injectFault({ kind: "delay-answers", ms: 60_000, entity: name });
    const done: string[] = [];
    const sending = sender.sendMessages({ body: 1 }).then(() => done.push("sent"));
    const message = await receiveOne(receiver);
    const completing = receiver.completeMessage(message).then(() => done.push("completed"));
    await expect.poll(() => suite.server.counts(name)).toMatchObject({ completed: 1 });
    expect(done).toEqual([]);
    await suite.server.clearFaults();
    await Promise.all([sending, completing]);
  });
});

describe("a link", () => {
  it("can be detached, and is opened again by the next send or by the subscriber", async () => {
    const { sender, receiver, name } = await freshQueue({}, PATIENT);
    const seen: unknown[] = [];
    receiver.subscribe({ processMessage: async ({ body }) => void seen.push(body), processError: async () => undefined });
    await sender.sendMessages({ body: 1 });
    await expect.poll(() => seen).toEqual([1]);
    expect(await suite.server.detachLinks({ entity: name, condition: "amqp:link:detach-forced" })).toBe(2);
    await expect.poll(() => suite.server.links(name)).toBe(1);
    await sender.sendMessages({ body: 2 });
    await expect.poll(() => seen).toEqual([1, 2]);
  });

  it("ends a receive that waits, with its error", async () => {
    const { receiver, name } = await freshQueue();
    const receiving = receiver.receiveMessages(1, { maxWaitTimeInMs: 30_000 }).catch(({ code }) => code);
    await expect.poll(() => suite.server.links(name)).toBe(1);
    await suite.server.detachLinks({ entity: name, condition: "com.microsoft:server-busy" });
    expect(await receiving).toBe("ServiceBusy");
  });
});

describe("a throttle", () => {
  it("answers sends no faster than asked for", async () => {
    const { sender, name } = await freshQueue();
    await suite.server.injectFault({ kind: "throttle", messagesPerS: 0.01, entity: name });
    let isSent = false;
    const sending = sender.sendMessages([{ body: 1 }, { body: 2 }]).then(() => {
      isSent = true;
    });
    await expect.poll(() => suite.server.counts(name)).toMatchObject({ active: 2 });
    expect(isSent).toBe(false);
    await suite.server.clearFaults();
    await sending;
  });

  it("delivers no faster than asked for, until it is lifted", async () => {
    const { sender, receiver, name } = await freshQueue();
    await sender.sendMessages([{ body: 1 }, { body: 2 }, { body: 3 }]);
    await suite.server.injectFault({ kind: "throttle", messagesPerS: 0.01, entity: name });
    const receiving = receiver.receiveMessages(2, { maxWaitTimeInMs: 30_000 });
    await expect.poll(() => suite.server.counts(name)).toMatchObject({ locked: 1, active: 2 });
    await suite.server.clearFaults();
    expect(await receiving).toHaveLength(2);
  });

  it("lets everything through in the end", async () => {
    const { sender, receiver, name } = await freshQueue();
    await suite.server.injectFault({ kind: "throttle", messagesPerS: 200, entity: name });
    await sender.sendMessages(Array.from({ length: 50 }, (_, body) => ({ body })));
    expect(await receive(receiver, 50)).toHaveLength(50);
  });
});
