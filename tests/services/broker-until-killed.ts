import { writeSync } from "node:fs";
import { open } from "../../shared/adapters/brokers/embedded/adapter.ts";
import { messageOf } from "../contract/support-messages.ts";

/*
 * Run as a process of its own, to be killed: publishes, receives and acknowledges on the broker in the folder given until it ends.
 * Each line on its output tells what is about to be done (`try-…`) or is confirmed. Arguments: data folder, name of the round.
 */
const [dataDir, round] = process.argv.slice(2) as [string, string];
const MANY = { maxMessages: 100, maxBytes: 1_000_000, maxWaitMs: 0 };

const say = (what: string, names: readonly string[]) => writeSync(1, `${what} ${names.join(" ")}\n`);
const upTo = (count: number) => Math.floor(Math.random() * count);

async function publishOn(): Promise<never> {
  for (let batch = 0; ; batch++) {
    const names = Array.from({ length: 1 + upTo(60) }, (_, i) => `${round}-${batch}-${i}`);
    say("try-publish", names);
    await broker.publisher.publish(
      "t",
      names.map((name) => messageOf(name, { contentType: "x".repeat(upTo(3000)) })),
    );
    say("published", names);
  }
}

async function settleOn(): Promise<never> {
  for (;;) {
    const deliveries = await source.receive(MANY);
    const chosen = deliveries.filter(() => Math.random() < 0.6);
    const names = chosen.map(({ message }) => Buffer.from(message.payload).toString());
    say("try-acknowledge", names);
    const settled = await source.acknowledge(chosen);
    if (settled === chosen.length) say("acknowledged", names);
    await source.release(
      deliveries.filter((delivery) => !chosen.includes(delivery) && Math.random() < 0.5),
      0,
    );
  }
}

const broker = await open({}, { dataDir });
await broker.createTopic("t", { retained: false });
await broker.createSubscription("t", "s", { durable: true, leaseMs: 2000 });
const source = await broker.openSource({ id: "t", topic: "t", subscription: "s" });
say("ready", []);
await Promise.all([publishOn(), settleOn()]);
