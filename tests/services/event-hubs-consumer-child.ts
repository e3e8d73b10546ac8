import type { Socket } from "node:net";
import { open } from "../../shared/adapters/brokers/event-hubs/adapter.ts";

// Reads an event hub, acknowledging all but the last `keep` messages of each receive, until it is killed. Writes a line for each message: `got` with
// its id once it was handed over, `done` once it is acknowledged.

export interface EventHubsConsumerPlan {
  settings: Record<string, unknown>;
  hub: string;
  group: string;
  keep: number;
}

const { settings, hub, group, keep } = JSON.parse(process.argv[2] as string) as EventHubsConsumerPlan;

// Nothing outlives the test that started it.
process.stdin.on("end", () => process.exit(1)).resume();
(process.stdin as unknown as Socket).unref();

const say = (what: string, ids: readonly string[]) => process.stdout.write(ids.map((id) => `${what} ${id}\n`).join(""));
const broker = await open(settings, { dataDir: "" });
const source = await broker.openSource({ id: hub, topic: hub, subscription: group });
for (;;) {
  const got = await source.receive({ maxMessages: 10, maxBytes: 1_000_000, maxWaitMs: 200 });
  say(
    "got",
    got.map(({ message }) => message.brokerMessageId),
  );
  const settled = got.slice(0, Math.max(0, got.length - keep));
  await source.acknowledge(settled);
  say(
    "done",
    settled.map(({ message }) => message.brokerMessageId),
  );
}
