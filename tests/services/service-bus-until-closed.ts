import { open } from "../../shared/adapters/brokers/service-bus/adapter.ts";

/*
 * Run as a process of its own: receives from a queue, holds what came, and closes when it is told to by its standard input. It ends by itself
 * unless something keeps it. Arguments: connection string, queue.
 */
const [connectionString, queue] = process.argv.slice(2) as [string, string];

const broker = await open({ connectionString }, { dataDir: "" });
const source = await broker.openSource({ id: queue, topic: queue, subscription: "", own: { entity: "queue" } });
await source.receive({ maxMessages: 10, maxBytes: 1_000_000, maxWaitMs: 5_000 });
process.stdout.write("holding\n");
process.stdin.once("data", async () => {
  process.stdin.destroy();
  await broker.close();
  process.stdout.write("closed\n");
});
