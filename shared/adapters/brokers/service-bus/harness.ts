import { randomUUID } from "node:crypto";
import type { BrokerHarness } from "../../../../tests/contract/support-ports.ts";
import { type ServiceBusServer, startServiceBusServer } from "../../../../tests/services/service-bus-server.ts";
import type { Broker } from "../../registry.ts";
import { open } from "./adapter.ts";

/** How long a message takes at most to a receive that waits: a link is opened first. */
const DELIVERY_MS = 2_000;

let running: Promise<ServiceBusServer> | undefined;

/** For tests only: the server that all fixtures share. */
export function sharedServiceBus(): Promise<ServiceBusServer> {
  const started = running ?? startServiceBusServer();
  running = started;
  return started;
}

/** For the contract suite only: topics with subscriptions, each fixture's under a name of its own. */
export const harness: BrokerHarness = {
  async fresh() {
    const server = await sharedServiceBus();
    const topic = `orders-${randomUUID()}`;
    const opened: Broker[] = [];
    const openBroker = async (): Promise<Broker> => {
      const broker = await open({ connectionString: server.connectionString }, { dataDir: "" });
      opened.push(broker);
      return broker;
    };
    const options = { maxDeliveryCount: 1_000 };
    await server.createTopic(topic, { "orders-persistor": options, other: options });
    return {
      broker: await openBroker(),
      topic,
      deliveryMs: DELIVERY_MS,
      gaps: {
        "ids of publications": "Service Bus does not tell the sequence numbers of what it takes",
        "order between keys": "each session is sent in batches of its own, side by side",
        "own properties": "Service Bus gives each message an id where it has none",
        "ordering keys": "only sessions keep the order of keys, and they take no message without a key",
        "taking ahead": "a source receives before it is asked, and giving back counts as a delivery",
        "names without slashes": "topics and queues may lie in folders",
        "held over a close": "what a source did not settle is given back when it closes",
      },
      async reopen() {
        await opened.at(-1)?.close();
        return openBroker();
      },
      async dispose() {
        await Promise.all(opened.map((broker) => broker.close()));
        await server.deleteEntity(topic);
      },
    };
  },
  async stop() {
    await (await running)?.stop();
    running = undefined;
  },
};
