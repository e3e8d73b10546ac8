import { randomUUID } from "node:crypto";
import type { BrokerHarness } from "../../../../tests/contract/support-ports.ts";
import { type KafkaBroker, kafkaBrokerMissing, startKafkaBroker } from "../../../../tests/services/kafka-broker.ts";
import type { Broker } from "../../registry.ts";
import { open } from "./adapter.ts";

/** How long a message takes at most to a receive that waits: a consumer joins its group first. */
const DELIVERY_MS = 3_000;

let running: Promise<KafkaBroker> | undefined;

/** For the contract suite only: topics of one partition, each fixture's under a name of its own, on a broker that runs here. */
export const harness: BrokerHarness = {
  missing: kafkaBrokerMissing,
  async fresh() {
    running ??= startKafkaBroker();
    const kafka = await running;
    const opened: Broker[] = [];
    const openBroker = async (): Promise<Broker> => {
      const broker = await open({ brokers: [kafka.host] }, { dataDir: "" });
      opened.push(broker);
      return broker;
    };
    const topic = `orders-${randomUUID()}`;
    await kafka.createTopic(topic, { partitions: 1 });
    return {
      broker: await openBroker(),
      topic,
      deliveryMs: DELIVERY_MS,
      gaps: {
        "ordering keys": "Kafka has no ordering key beside the record key",
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
      },
    };
  },
  async stop() {
    await (await running)?.stop();
  },
};
