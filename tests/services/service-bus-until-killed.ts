import { writeSync } from "node:fs";
import { open } from "../../shared/adapters/brokers/service-bus/adapter.ts";

/*
 * Run as a process of its own, to be killed: receives from a queue and acknowledges half of it until it ends. Each line on its output tells what
 * is about to be done (`try-…`) or is confirmed. Arguments: connection string, queue.
 */
const [connectionString, queue] = process.argv.slice(2) as [string, string];
const MANY = { maxMessages: 100, maxBytes: 1_000_000, maxWaitMs: 50 };

const say = (what: string, names: readonly string[]) => writeSync(1, `${what} ${names.join(" ")}\n`);

const broker = await open({ connectionString }, { dataDir: "" });
const source = await broker.openSource({ id: queue, topic: queue, subscription: "", own: { entity: "queue" } });
await source.receive({ ...MANY, maxMessages: 0 });
say("ready", []);
for (;;) {
  const deliveries = await source.receive(MANY);
  const chosen = deliveries.filter((_, i) => i % 2 === 0);
  const names = chosen.map(({ message }) => Buffer.from(message.payload).toString());
  say("try-acknowledge", names);
  if ((await source.acknowledge(chosen)) === chosen.length) say("acknowledged", names);
}
