import { expect, it } from "vitest";
import type { EntityOptions } from "../service-bus-server.ts";
import { BRIEFLY, bodiesOf, freshName, receive, receiveOne, type SequenceNumber, serverSuite } from "./support.ts";

const suite = serverSuite();

async function freshTopic(subscriptions: Record<string, EntityOptions> = { first: {}, second: {} }) {
  const topic = freshName("topic");
  await suite.server.createTopic(topic, subscriptions);
  const client = suite.client();
  return { topic, client, sender: client.createSender(topic), receiverOf: (name: string) => client.createReceiver(topic, name) };
}

it("gives each subscription each message, to be settled by itself", async () => {
  const { topic, sender, receiverOf } = await freshTopic();
  await sender.sendMessages([{ body: "one" }, { body: "two" }]);
  const [first, second] = [receiverOf("first"), receiverOf("second")];
  for (const message of await receive(first, 2)) await first.completeMessage(message);
  expect(bodiesOf(await receive(second, 2))).toEqual(["one", "two"]);
  expect(await suite.server.counts(`${topic}/Subscriptions/first`)).toMatchObject({ completed: 2, locked: 0 });
  expect(await suite.server.counts(`${topic}/Subscriptions/second`)).toMatchObject({ completed: 0, locked: 2 });
});

it("has a dead-letter queue for each subscription", async () => {
  const { topic, client, sender, receiverOf } = await freshTopic();
  await sender.sendMessages({ body: "bad" });
  const first = receiverOf("first");
  await first.deadLetterMessage(await receiveOne(first), { deadLetterReason: "Spoilt", deadLetterErrorDescription: "" });
  const dead = client.createReceiver(topic, "first", { subQueueType: "deadLetter" });
  expect((await receiveOne(dead)).deadLetterReason).toBe("Spoilt");
  expect(await suite.server.counts(`${topic}/Subscriptions/second`)).toMatchObject({ active: 1, deadLettered: 0 });
});

it("schedules for all subscriptions, and cancels for all", async () => {
  const { topic, sender, receiverOf } = await freshTopic();
  await sender.sendMessages({ body: "now" });
  const [number] = await sender.scheduleMessages({ body: "never" }, new Date(Date.now() + 60_000));
  await sender.scheduleMessages({ body: "soon" }, new Date(Date.now() + 200));
  await sender.cancelScheduledMessages(number as SequenceNumber);
  for (const name of ["first", "second"]) {
    expect(bodiesOf(await receive(receiverOf(name), 2))).toEqual(["now", "soon"]);
    expect(await suite.server.counts(`${topic}/Subscriptions/${name}`)).toMatchObject({ scheduled: 0, active: 0 });
  }
});

it("peeks into a subscription, and knows names in any case", async () => {
  const { topic, client, sender } = await freshTopic();
  await sender.sendMessages({ body: "one" });
  expect(bodiesOf(await client.createReceiver(topic.toUpperCase(), "FIRST").peekMessages(5))).toEqual(["one"]);
  expect((await receiveOne(client.createReceiver(topic.toUpperCase(), "FIRST"))).body).toBe("one");
});

it("loads into all subscriptions", async () => {
  const { topic, sender, receiverOf } = await freshTopic();
  await sender.sendMessages({ body: "one" });
  const [message] = await suite.server.messages(`${topic}/Subscriptions/first`);
  if (message) await suite.server.load(topic, [message.bytes]);
  expect(await receive(receiverOf("second"), 2)).toHaveLength(2);
});

it("cannot be received from, and says which subscription is missing", async () => {
  const { topic, client } = await freshTopic();
  await expect(client.createReceiver(topic).receiveMessages(1, BRIEFLY)).rejects.toThrow(/subscription/);
  await expect(client.createReceiver(topic, "third").receiveMessages(1, BRIEFLY)).rejects.toMatchObject({
    code: "MessagingEntityNotFound",
  });
  await expect(client.createSender(`${topic}/Subscriptions/first`).sendMessages({ body: 1 })).rejects.toThrow(/cannot be sent to/);
});

it("takes what it has no subscription for, and forgets it", async () => {
  const { sender } = await freshTopic({});
  await sender.sendMessages({ body: "nobody's" });
});
