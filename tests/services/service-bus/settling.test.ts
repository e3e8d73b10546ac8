import { describe, expect, it } from "vitest";
import { BRIEFLY, bodiesOf, receive, receiveOne, type SequenceNumber, serverSuite } from "./support.ts";

const suite = serverSuite();
const { freshQueue } = suite;

describe("settling", () => {
  it("loses a message only by its completion", async () => {
    const { sender, receiver, name } = await freshQueue();
    await sender.sendMessages([{ body: "one" }, { body: "two" }]);
    const [one, two] = await receive(receiver, 2);
    if (one) await receiver.completeMessage(one);
    if (two) await receiver.abandonMessage(two);
    expect(await suite.server.counts(name)).toMatchObject({ active: 1, locked: 0, completed: 1 });
    const again = await receiveOne(receiver);
    expect([again.body, again.deliveryCount]).toEqual(["two", 1]);
  });

  it("puts an abandoned message before later ones, with the properties that it was given", async () => {
    const { sender, receiver } = await freshQueue();
    await sender.sendMessages([{ body: "one", applicationProperties: { kept: 1, changed: "old" } }, { body: "two" }]);
    await receiver.abandonMessage(await receiveOne(receiver), { changed: "new", added: true });
    const [one, two] = await receive(receiver, 2);
    expect(bodiesOf([one, two] as never)).toEqual(["one", "two"]);
    expect(one?.applicationProperties).toEqual({ kept: 1, changed: "new", added: true });
  });

  it("dead-letters with a reason, a description and properties, under the same number", async () => {
    const { sender, receiver, client, name } = await freshQueue();
    await sender.sendMessages([{ body: "good" }, { body: "bad", applicationProperties: { kept: 1 } }]);
    const [good, bad] = await receive(receiver, 2);
    if (bad) await receiver.deadLetterMessage(bad, { deadLetterReason: "Spoilt", deadLetterErrorDescription: "it smells", by: "nose" });
    if (good) await receiver.completeMessage(good);
    expect(await suite.server.counts(name)).toMatchObject({ active: 0, deadLettered: 1, completed: 1 });
    const dead = await receiveOne(client.createReceiver(name, { subQueueType: "deadLetter" }));
    expect([dead.body, dead.deadLetterReason, dead.deadLetterErrorDescription, dead.sequenceNumber?.toNumber()]).toEqual([
      "bad",
      "Spoilt",
      "it smells",
      2,
    ]);
    expect(dead.applicationProperties).toEqual({
      kept: 1,
      by: "nose",
      DeadLetterReason: "Spoilt",
      DeadLetterErrorDescription: "it smells",
    });
    expect(await suite.server.messages(`${name}/$DeadLetterQueue`)).toMatchObject([{ deadLetterReason: "Spoilt", state: "locked" }]);
  });

  it("lets dead letters be settled like others, and keeps those that are dead-lettered again", async () => {
    const { sender, receiver, client, name } = await freshQueue();
    await sender.sendMessages({ body: "bad" });
    await receiver.deadLetterMessage(await receiveOne(receiver));
    const dead = client.createReceiver(name, { subQueueType: "deadLetter" });
    await dead.deadLetterMessage(await receiveOne(dead));
    await dead.completeMessage(await receiveOne(dead));
    expect(await suite.server.counts(`${name}/$DeadLetterQueue`)).toMatchObject({ active: 0, locked: 0, completed: 1 });
  });

  it("keeps a deferred message for whoever knows its number", async () => {
    const { sender, receiver, name } = await freshQueue();
    await sender.sendMessages({ body: "later" });
    const message = await receiveOne(receiver);
    await receiver.deferMessage(message, { why: "busy" });
    expect(await receiver.receiveMessages(1, BRIEFLY)).toEqual([]);
    expect(await suite.server.counts(name)).toMatchObject({ deferred: 1, active: 0 });
    const [deferred] = await receiver.receiveDeferredMessages(message.sequenceNumber as SequenceNumber);
    expect([deferred?.body, deferred?.applicationProperties?.why]).toEqual(["later", "busy"]);
    if (deferred) await receiver.completeMessage(deferred);
    expect(await suite.server.counts(name)).toMatchObject({ deferred: 0, completed: 1 });
    await expect(receiver.receiveDeferredMessages(message.sequenceNumber as SequenceNumber)).rejects.toMatchObject({
      code: "MessageNotFound",
    });
  });

  it("stalls a receiver only by its client's own window: 2,047 later messages go past one that is never settled", async () => {
    const { sender, receiver } = await freshQueue();
    const all = 3_000;
    for (let sent = 0; sent < all; sent += 1_000) {
      await sender.sendMessages(Array.from({ length: 1_000 }, (_, i) => ({ body: sent + i })));
    }
    await receiveOne(receiver);
    let settled = 0;
    while (settled < 2_047) {
      const messages = await receiver.receiveMessages(500, { maxWaitTimeInMs: 20_000 });
      if (messages.length === 0) break;
      await Promise.all(messages.map((message) => receiver.completeMessage(message)));
      settled += messages.length;
    }
    expect(settled).toBe(2_047);
    expect(await receiver.receiveMessages(500, { maxWaitTimeInMs: 500 })).toEqual([]);
  });
});
