import { once } from "node:events";
import { connect } from "node:net";
import { ServiceBusClient } from "@azure/service-bus";
import { describe, expect, it } from "vitest";
import { BRIEFLY, ONE_MORE_TRY, ONE_SHORT_TRY, ONE_TRY, receiveOne, serverSuite } from "./support.ts";

const suite = serverSuite();
const { freshQueue } = suite;

describe("a connection that is cut", () => {
  it("comes back by itself under a subscriber, who loses nothing", async () => {
    const { sender, receiver, name } = await freshQueue();
    const seen = new Set<unknown>();
    receiver.subscribe(
      { processMessage: async ({ body }) => void seen.add(body), processError: async () => undefined },
      { maxConcurrentCalls: 5 },
    );
    await sender.sendMessages({ body: 0 });
    await expect.poll(() => seen.size).toBe(1);
    expect(await suite.server.dropConnections()).toBeGreaterThan(0);
    await expect.poll(() => suite.server.links(name)).toBe(1);
    for (let body = 1; body <= 20; body++) await sender.sendMessages({ body });
    await expect.poll(() => seen.size).toBe(21);
    await expect.poll(() => suite.server.counts(name)).toMatchObject({ active: 0 });
  });

  it("before a transfer has lost it, and it is sent again", async () => {
    const { sender, name } = await freshQueue({}, ONE_MORE_TRY);
    await suite.server.injectFault({ kind: "drop-at", event: "transfer", when: "before", entity: name });
    await sender.sendMessages({ body: "one" });
    expect(await suite.server.counts(name)).toMatchObject({ enqueued: 1 });
  });

  it("after a transfer has lost the answer, and the message is there twice", async () => {
    const { sender, name } = await freshQueue({}, ONE_MORE_TRY);
    await suite.server.injectFault({ kind: "drop-at", event: "transfer", when: "after", entity: name });
    await sender.sendMessages({ body: "one" });
    expect(await suite.server.counts(name)).toMatchObject({ enqueued: 2, active: 2 });
  });

  it("at a later transfer lets the ones before it through", async () => {
    const { sender, name } = await freshQueue({}, ONE_SHORT_TRY);
    await suite.server.injectFault({ kind: "drop-at", event: "transfer", when: "after", nth: 3, entity: name });
    await sender.sendMessages({ body: 1 });
    await sender.sendMessages({ body: 2 });
    await expect(sender.sendMessages({ body: 3 })).rejects.toThrow();
    expect(await suite.server.counts(name)).toMatchObject({ enqueued: 3 });
  });

  it.each([
    { when: "before", left: { locked: 1, completed: 0 } },
    { when: "after", left: { locked: 0, completed: 1 } },
  ] as const)("$when a settlement has lost its answer, $left", async ({ when, left }) => {
    const { sender, receiver, name } = await freshQueue({}, ONE_SHORT_TRY);
    await sender.sendMessages({ body: "one" });
    const message = await receiveOne(receiver);
    await suite.server.injectFault({ kind: "drop-at", event: "settlement", when, entity: name });
    await expect(receiver.completeMessage(message)).rejects.toThrow();
    expect(await suite.server.counts(name)).toMatchObject(left);
  });

  it("is cut again and again for as long as it was asked to", async () => {
    const { sender, name } = await freshQueue();
    await suite.server.beginOutage({ kind: "drop-connections", everyMs: 20, forMs: 60_000 });
    for (let i = 0; i < 3; i++) await once(connect(suite.server.port, suite.server.host), "close");
    await suite.server.clearFaults();
    await sender.sendMessages({ body: 1 });
    expect(await suite.server.counts(name)).toMatchObject({ enqueued: 1 });
  });
});

describe("a server that is away", () => {
  it("refuses connections, and takes them again", async () => {
    const { sender, name } = await freshQueue();
    await sender.sendMessages({ body: 0 });
    await suite.server.beginOutage({ kind: "refuse-connections", forMs: 60_000 });
    await expect(sender.sendMessages({ body: 1 })).rejects.toThrow(/ECONNREFUSED|refused/);
    await suite.server.clearFaults();
    await sender.sendMessages({ body: 2 });
    expect(await suite.server.counts(name)).toMatchObject({ enqueued: 2 });
  });

  it("is back by itself when its time is over", async () => {
    const { sender, name } = await freshQueue();
    await suite.server.beginOutage({ kind: "refuse-connections", forMs: 200 });
    await expect
      .poll(() =>
        sender
          .sendMessages({ body: 1 })
          .then(() => "sent")
          .catch(() => "failed"),
      )
      .toBe("sent");
    expect(await suite.server.counts(name)).toMatchObject({ enqueued: 1 });
  });

  it("is silent to new connections and to old ones, and answers late", async () => {
    const old = await freshQueue();
    await old.sender.sendMessages({ body: 0 });
    await suite.server.beginOutage({ kind: "be-silent", forMs: 60_000 });
    const [sendingOld, sendingNew] = [old.sender, suite.client().createSender(old.name)].map((sender) => sender.sendMessages({ body: 1 }));
    expect(await suite.server.counts(old.name)).toMatchObject({ enqueued: 1 });
    await suite.server.clearFaults();
    await Promise.all([sendingOld, sendingNew]);
    expect(await suite.server.counts(old.name)).toMatchObject({ enqueued: 3 });
  });
});

it("tells a client of a server that is gone", async () => {
  const client = new ServiceBusClient(suite.server.connectionString.replace(`:${suite.server.port}`, ":1"), { retryOptions: ONE_TRY });
  suite.onEnd(() => client.close());
  await expect(client.createReceiver("queue").receiveMessages(1, BRIEFLY)).rejects.toThrow();
});
