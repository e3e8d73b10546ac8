import { randomUUID } from "node:crypto";
import { v1 } from "@google-cloud/pubsub";
import { grpc } from "google-gax";
import type { BrokerFixture, BrokerHarness } from "../../../../tests/contract/support-ports.ts";
import { type PubsubEmulator, pubsubEmulatorMissing, startPubsubEmulator } from "../../../../tests/services/pubsub-emulator.ts";
import { open } from "./adapter.ts";
import { statusOf } from "./errors.ts";

let emulator: Promise<PubsubEmulator> | undefined;

const GAPS: BrokerFixture["gaps"] = {
  order: "without an ordering key Pub/Sub has no order",
  "attribute order": "Pub/Sub's attributes are a map",
  "count of acknowledged": "Pub/Sub does not tell which leases were lost",
  "lost leases": "an older ack id may settle a later delivery",
  "short leases": "Pub/Sub's leases are whole seconds",
  "taking ahead": "streams bring messages before they are asked for, and giving them back counts as a delivery",
};
/** Opening a stream on the emulator takes long on a busy machine. */
const DELIVERY_MS = 2_000;

/** For the contract suite only: a project of its own on one emulator. */
export const harness: BrokerHarness = {
  missing: pubsubEmulatorMissing,
  async fresh() {
    emulator ??= startPubsubEmulator();
    const { host } = await emulator;
    const settings = { projectId: `p-${randomUUID().slice(0, 20)}`, emulatorHost: host };
    const broker = await open(settings, { dataDir: "" });
    const opened = [broker];
    const admin = adminOf(settings);
    return {
      broker,
      gaps: GAPS,
      deliveryMs: DELIVERY_MS,
      prepare: admin.prepare,
      async reopen() {
        await opened.at(-1)?.close();
        const again = await open(settings, { dataDir: "" });
        opened.push(again);
        return again;
      },
      async dispose() {
        for (const each of opened) await each.close();
        await admin.close();
      },
    };
  },
  async stop() {
    const running = await emulator;
    emulator = undefined;
    await running?.stop();
  },
};

/** Makes topics and subscriptions, these with a dead-letter topic, so that deliveries are counted. */
export function adminOf({ projectId, emulatorHost }: { projectId: string; emulatorHost: string }) {
  const [servicePath, port] = emulatorHost.split(":");
  const options = { projectId, servicePath, port: Number(port), sslCreds: grpc.credentials.createInsecure() };
  const publisher = new v1.PublisherClient(options);
  const subscriber = new v1.SubscriberClient(options);
  const topicPath = (topic: string) => `projects/${projectId}/topics/${topic}`;
  const makeTopic = async (topic: string) => {
    await publisher.createTopic({ name: topicPath(topic) }).catch(unlessThere);
  };
  return {
    makeTopic,
    async prepare(topic: string, subscription: string, { ordered } = { ordered: false }) {
      await makeTopic(topic);
      await makeTopic("dead-letter");
      const request = {
        name: `projects/${projectId}/subscriptions/${subscription}`,
        topic: topicPath(topic),
        ackDeadlineSeconds: 60,
        enableMessageOrdering: ordered,
        deadLetterPolicy: { deadLetterTopic: topicPath("dead-letter"), maxDeliveryAttempts: 100 },
      };
      await subscriber.createSubscription(request).catch(unlessThere);
    },
    async close() {
      await Promise.all([publisher.close(), subscriber.close()]);
    },
  };
}

function unlessThere(error: unknown): void {
  if (statusOf(error) !== grpc.status.ALREADY_EXISTS) throw error;
}
