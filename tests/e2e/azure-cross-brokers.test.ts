import { PubSub } from "@google-cloud/pubsub";
import { afterAll, beforeAll, expect, test } from "vitest";
import { brokers } from "../../shared/adapters/registry.ts";
import type { MessageContent } from "../../shared/core/message.ts";
import { comparable } from "../contract/support-messages.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { type AzureCloud, azureCloudMissing, startAzureCloud } from "../services/azure-cloud.ts";
import { ensureBundles } from "../services/bundles.ts";
import { type KafkaBroker, kafkaBrokerMissing, startKafkaBroker } from "../services/kafka-broker.ts";
import { type PubsubEmulator, pubsubEmulatorMissing, startPubsubEmulator } from "../services/pubsub-emulator.ts";
import { call, indexed, pipelineOf, stored, until } from "./support-azure.ts";
import { drain, publishTo, QUICK } from "./support-azure-brokers.ts";
import { contentsOf, KINDS, type Kind, MAPPINGS, variantOf } from "./support-azure-mappings.ts";

const topicOf = (from: Kind, to: Kind) => `${from}-to-${to}`;

/** A subscription's name is the project's at Pub/Sub, and the topic's elsewhere. */
const checkOf = (to: Kind, topic: string) => (to === "pubsub" ? `${topic}-check` : "check");

const PROJECT = "persistor-test";

describeWhere(azureCloudMissing() ?? kafkaBrokerMissing() ?? pubsubEmulatorMissing(), "the function app between kinds of brokers", () => {
  let cloud: AzureCloud;
  let kafka: KafkaBroker;
  let emulator: PubsubEmulator;

  beforeAll(async () => {
    [kafka, emulator] = await Promise.all([
      startKafkaBroker({ settings: { "group.initial.rebalance.delay.ms": "0" } }),
      startPubsubEmulator({ heapMb: 256 }),
    ]);
    await makePubsubTopics(emulator, {
      "from-pubsub": "archive",
      ...Object.fromEntries(
        MAPPINGS.filter(({ to }) => to === "pubsub").map(({ from, to }) => [topicOf(from, to), checkOf(to, topicOf(from, to))]),
      ),
    });
    await Promise.all([
      ensureBundles(),
      ...["from-kafka", ...MAPPINGS.map(({ from, to }) => topicOf(from, to))].map((topic) => kafka.createTopic(topic)),
    ]);
    const pipelines = KINDS.map((kind) => {
      const name = `from-${kind}`;
      return [name, pipelineOf({ broker: kind, topic: name, subscription: "archive" }, name)];
    });
    cloud = await startAzureCloud({
      pipelines: Object.fromEntries(pipelines),
      destinations: Object.fromEntries(MAPPINGS.map(({ from, to }) => [topicOf(from, to), { broker: to, topic: topicOf(from, to) }])),
      environment: {
        ...QUICK,
        PERSISTOR_KAFKA: JSON.stringify({ brokers: [kafka.host] }),
        PUBSUB_EMULATOR_HOST: emulator.host,
        GOOGLE_CLOUD_PROJECT: PROJECT,
      },
      partitions: 1,
      host: { timers: false },
    });
    for (const kind of KINDS) await publishTo(cloud, kind, `from-${kind}`, contentsOf(kind));
    const drained = ["kafka", "pubsub", "event-hubs"] as const;
    await Promise.all(drained.map((kind) => drain(cloud, `from-${kind}`, `raw/from-${kind}/`, contentsOf(kind).length)));
    for (const kind of KINDS) await indexed(cloud, `from-${kind}`, contentsOf(kind).length);
  }, 300_000);
  afterAll(async () => {
    await cloud?.stop();
    await Promise.all([kafka?.stop(), emulator?.stop()]);
  });

  const received = async (kind: Kind, topic: string, count: number): Promise<MessageContent[]> => {
    const broker = await (await brokers[kind]()).open(cloud.settings.adapters[kind] ?? {}, { dataDir: "" });
    const source = await broker.openSource({ id: topic, topic, subscription: checkOf(kind, topic) });
    const found: MessageContent[] = [];
    await until(`${count} messages of ${topic}`, async () => {
      const deliveries = await source.receive({ maxMessages: 1_000, maxBytes: 32_000_000, maxWaitMs: 500 });
      found.push(...deliveries.map(({ message }) => message));
      await source.acknowledge(deliveries);
      return found.length >= count;
    });
    await broker.close();
    return found;
  };

  /** What a job could not send, by variant: why. */
  const refusals = async (job: string, variantById: ReadonlyMap<string, string>) => {
    const { body } = await call(cloud, "GET", `/api/resubmitter/jobs/${job}/failures?limit=1000`);
    const failures = body.failures as { id: string; reason: string; detail: string }[];
    expect(failures.map(({ reason }) => reason)).toEqual(failures.map(() => "unsupported_by_destination"));
    return Object.fromEntries(failures.map(({ id, detail }) => [variantById.get(id) as string, detail]));
  };

  test.each(MAPPINGS)(
    "$from to $to: what has an equivalent is carried, and what has none is named; nothing is dropped in silence",
    async ({ from, to, changed, refused }) => {
      const name = `from-${from}`;
      const sent = (await stored(cloud, `raw/${name}/`)).map(({ id, message }) => ({ id, message, variant: variantOf(message) }));
      const carried = sent.filter(({ variant }) => refused[variant] === undefined);
      const { status, body } = await call(cloud, "POST", `/api/resubmitter/range/${name}?topic=${topicOf(from, to)}`, { broker_id: name });
      expect(status).toBe(carried.length === sent.length ? 200 : carried.length === 0 ? 400 : 206);
      expect(body.summary).toMatchObject({ indexed_count: sent.length, published_count: carried.length, verified_count: carried.length });
      expect(body.errors.pipeline_errors).toHaveLength(sent.length - carried.length);
      expect(await refusals(body.job, new Map(sent.map(({ id, variant }) => [id, variant])))).toEqual(refused);

      const got = (await received(to, topicOf(from, to), carried.length)).map(
        (content): MessageContent => ({
          ...content,
          // Service Bus gives an id to what has none.
          system: content.system.filter(
            ({ name: property, value }) => !(property === "amqp:message-id" && String(value).startsWith(body.job)),
          ),
        }),
      );
      const wanted = carried.map(({ message, variant }) => ({ ...message, ...changed[variant]?.(message) }));
      const inOrder = (contents: readonly MessageContent[]) =>
        contents.map((content) => JSON.stringify(comparable(to === "pubsub" ? sorted(content) : content))).sort();
      expect(inOrder(got)).toEqual(inOrder(wanted));
    },
  );
});

async function makePubsubTopics({ host }: PubsubEmulator, subscriptions: Readonly<Record<string, string>>): Promise<void> {
  const pubsub = new PubSub({ projectId: PROJECT, apiEndpoint: host, emulatorMode: true });
  for (const [topic, subscription] of Object.entries(subscriptions)) {
    await pubsub.createTopic(topic);
    await pubsub.topic(topic).createSubscription(subscription);
  }
  await pubsub.close();
}

/** Pub/Sub's attributes have no order. */
function sorted(content: MessageContent): MessageContent {
  return { ...content, attributes: content.attributes.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
}
