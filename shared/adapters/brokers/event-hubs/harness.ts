import { randomUUID } from "node:crypto";
import type { BrokerHarness } from "../../../../tests/contract/support-ports.ts";
import { type Azurite, startAzurite } from "../../../../tests/services/azurite.ts";
import { type ServiceBusServer, startServiceBusServer } from "../../../../tests/services/service-bus-server.ts";
import type { Broker } from "../../registry.ts";
import { open } from "./adapter.ts";

/** How long a message takes at most to a receive that waits: a consumer claims its partitions first. */
const DELIVERY_MS = 3_000;

let running: Promise<[ServiceBusServer, Azurite]> | undefined;

/** For the contract suite only: event hubs of one partition, each fixture's under a name of its own. */
export const harness: BrokerHarness = {
  async fresh() {
    running ??= Promise.all([startServiceBusServer(), startAzurite()]);
    const [server, azurite] = await running;
    const topic = `orders-${randomUUID()}`;
    const opened: Broker[] = [];
    const openBroker = async (): Promise<Broker> => {
      const settings = { connectionString: server.connectionString, storage: { connectionString: azurite.connectionString } };
      const broker = await open(settings, { dataDir: "" });
      opened.push(broker);
      return broker;
    };
    await server.createEventHub(topic, { partitions: 1, consumerGroups: ["orders-persistor", "other", "by-key"] });
    return {
      broker: await openBroker(),
      topic,
      deliveryMs: DELIVERY_MS,
      gaps: {
        "ids of publications": "Event Hubs does not tell where it puts what it takes",
        "order between keys": "each partition key is sent in batches of its own, side by side",
        "settling for another": "a consumer settles what it was handed over itself, and nothing else",
        "taking ahead": "a partition is read by one consumer of a group",
        "held over a close": "what a consumer did not settle comes again as soon as it has left",
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
    for (const service of (await running) ?? []) await service.stop();
    running = undefined;
  },
};
