import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { open } from "../../shared/adapters/brokers/kafka/adapter.ts";
import type { Broker } from "../../shared/adapters/registry.ts";
import { digestOf } from "../../shared/core/digest.ts";
import { type Attribute, type Message, type MessageContent, stringAttribute } from "../../shared/core/message.ts";
import { eventually, freshTopic, receiveAll, receiveAndMore } from "../adapters/support-kafka.ts";
import { comparable, messageOf, NASTY_ATTRIBUTES, payloadText } from "../contract/support-messages.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { openHost, type TestHost } from "../fixtures/host.ts";
import { type KafkaBroker, kafkaBrokerMissing, startKafkaBroker } from "../services/kafka-broker.ts";
import { pubsubEmulatorMissing, startPubsubEmulator } from "../services/pubsub-emulator.ts";

const ROUNDS = 3;
const PARTITIONS = 4;
const BYTES = Uint8Array.from({ length: 256 }, (_, i) => i);
const KEYS = [null, "", "key", BYTES, "x".repeat(300)].map((key) => (key === null ? null : Buffer.from(key as string)));

/** What of the nasty attributes Kafka can carry, and a header whose name is no UTF-8. */
const CARRIED: readonly Attribute[] = [
  ...NASTY_ATTRIBUTES.filter(({ kind, value }) => kind === "string" || kind === "null" || (kind === "binary" && value.length > 0)),
  { name: "a\uFFFD", kind: "kafka:raw-name", value: Uint8Array.of(0, 0, 0, 2, 0x61, 0xff, 1, 0x76) },
];

const nasty = (i: number): MessageContent =>
  messageOf(i % 5 === 0 ? "" : `payload ${i}`, {
    payloadKind: i % 10 === 0 ? "null" : "bytes",
    attributes: i % 3 === 0 ? CARRIED : i % 3 === 1 ? [] : [stringAttribute("number", String(i))],
    key: KEYS[i % KEYS.length] ?? null,
  });

describeWhere(kafkaBrokerMissing(), "a local host with Kafka", () => {
  let kafka: KafkaBroker;
  let client: Broker;
  let host: TestHost | undefined;
  beforeAll(async () => {
    kafka = await startKafkaBroker({ settings: { "group.min.session.timeout.ms": "1000", "message.max.bytes": "20000000" } });
    client = await open({ brokers: [kafka.host], maxMessageBytes: 15_000_000 }, { dataDir: "" });
  });
  afterEach(async () => {
    await host?.dispose();
    host = undefined;
  });
  afterAll(async () => {
    await client?.close();
    await kafka?.stop();
  });

  const topicOf = async (name: string, partitions = PARTITIONS, config: Record<string, string> = {}): Promise<string> => {
    const topic = freshTopic(name);
    await kafka.createTopic(topic, { partitions, config });
    return topic;
  };
  const pipeline = (topic: string, change: Record<string, unknown> = {}) => ({
    source: { broker: "kafka", topic, sessionTimeoutMs: 2_000 },
    store: { name: "local", path: "{topic}/{partition}" },
    batch: { maxMessages: 500, maxWaitMs: 50 },
    index: { collection: topic },
    deadLetter: {},
    ...change,
  });
  const openKafkaHost = async (
    pipelines: Record<string, unknown>,
    destinations: Record<string, unknown> = {},
    more: Record<string, string> = {},
  ) => {
    host = await openHost({
      PERSISTOR_KAFKA: JSON.stringify({ brokers: [kafka.host] }),
      PERSISTOR_PIPELINES: JSON.stringify(pipelines),
      PERSISTOR_DESTINATIONS: JSON.stringify(destinations),
      ...more,
    });
    return host;
  };
  const publish = async (topic: string, contents: readonly MessageContent[]) => {
    const outcomes = await client.publisher.publish(topic, contents);
    expect(outcomes.filter(({ ok }) => !ok)).toEqual([]);
  };
  const read = async (topic: string, count: number): Promise<Message[]> => {
    const source = await client.openSource({ id: topic, topic, subscription: freshTopic("reader") });
    const got = await receiveAndMore(source, count, 300);
    await source.close();
    return got
      .map(({ message }) => message)
      .toSorted((a, b) => Number(a.partition) - Number(b.partition) || Number(a.sequence - b.sequence));
  };
  const indexed = async (collection: string, count: number) => {
    const { index } = (host as TestHost).composition;
    await eventually(async () => ((await index.summarize(collection, { op: "all", of: [] }))[0]?.count ?? 0) >= count, 50_000);
    expect((await index.summarize(collection, { op: "all", of: [] }))[0]?.count).toBe(count);
  };
  const resubmit = (collection: string, destination: string, parameters = "", body: unknown = { filters: [{}] }) =>
    (host as TestHost).call("POST", `/resubmitter/query/${collection}?topic=${destination}${parameters}`, body);

  test("keeps keys, headers, null payloads, partitions and times to the byte over three rounds of persisting and resubmitting", async () => {
    const topics = await Promise.all(Array.from({ length: ROUNDS + 1 }, (_, i) => topicOf(`round${i}`)));
    const keep = (topic: string) => ({ broker: "kafka", topic, keep: ["partition", "timestamp"] });
    await openKafkaHost(
      Object.fromEntries(topics.map((topic) => [topic, pipeline(topic)])),
      Object.fromEntries(topics.map((topic) => [topic, keep(topic)])),
    );
    const contents = Array.from({ length: 300 }, (_, i) => nasty(i));
    await publish(topics[0] as string, contents);
    const first = await read(topics[0] as string, 300);
    expect(
      first
        .map(comparable)
        .map((each) => JSON.stringify(each))
        .toSorted(),
    ).toEqual(
      contents
        .map(comparable)
        .map((each) => JSON.stringify(each))
        .toSorted(),
    );
    for (let round = 0; round < ROUNDS; round++) {
      const [from, to] = topics.slice(round) as [string, string];
      await indexed(from, 300);
      const { status, body } = await resubmit(from, to, "&ordered=true");
      expect([status, body.summary]).toEqual([
        200,
        expect.objectContaining({ indexed_count: 300, published_count: 300, verified_count: 300 }),
      ]);
      const got = await read(to, 300);
      const told = (message: Message) => [comparable(message), digestOf(message).toString("hex"), message.partition, message.publishTimeUs];
      expect(got.map(told)).toEqual(first.map(told));
    }
  });

  test("gives resubmitted messages a time and a place of their own, unless the destination keeps them", async () => {
    const [from, to] = [await topicOf("orders"), await topicOf("replay")];
    await openKafkaHost({ [from]: pipeline(from) }, { replay: { broker: "kafka", topic: to } });
    const beforeUs = Date.now() * 1000;
    await client.publisher.publish(from, [{ ...messageOf("old"), withTimeUs: 86_400_000_000, toPartition: "3" }]);
    await indexed(from, 1);
    expect((await resubmit(from, "replay")).status).toBe(200);
    expect((await read(to, 1))[0]?.publishTimeUs).toBeGreaterThanOrEqual(beforeUs);
  });

  test("names in its answer what the destination does not take, and sends the rest", async () => {
    const from = await topicOf("orders", 1, { "max.message.bytes": "12000000" });
    const small = await topicOf("small", 1, { "max.message.bytes": "2000" });
    await openKafkaHost(
      { [from]: pipeline(from) },
      { small: { broker: "kafka", topic: small }, missing: { broker: "kafka", topic: freshTopic("missing") } },
    );
    await publish(from, [
      messageOf("a"),
      messageOf("", { payload: Buffer.alloc(10_000_000, 7) }),
      messageOf("", { payload: Buffer.alloc(5_000, 7) }),
      messageOf("b"),
    ]);
    await indexed(from, 4);
    const partly = await resubmit(from, "small");
    expect(partly.status).toBe(206);
    expect(partly.body.summary).toMatchObject({ published_count: 2 });
    expect(partly.body.errors.pipeline_errors.map(({ id, reason }: { id: string; reason: string }) => [id, reason])).toEqual([
      [`${from}_0-1`, "unsupported_by_destination"],
      [`${from}_0-2`, "publish_error"],
    ]);
    const failures = await (host as TestHost).call("GET", `/resubmitter/jobs/${partly.body.job}/failures`);
    expect(JSON.stringify(failures.body)).toMatch(/max\.message\.bytes/);
    const missing = await resubmit(from, "missing");
    expect([missing.status, missing.body.summary]).toEqual([400, expect.objectContaining({ published_count: 0 })]);
    const told = await (host as TestHost).call("GET", `/resubmitter/jobs/${missing.body.job}/failures`);
    expect(JSON.stringify(told.body)).toMatch(/create the topic/);
  });

  test("dead-letters what is too large for the pipeline, and sends it back to Kafka as it was", async () => {
    const from = await topicOf("orders", 1, { "max.message.bytes": "12000000" });
    const back = await topicOf("back", 1, { "max.message.bytes": "12000000" });
    await openKafkaHost(
      { [from]: pipeline(from, { batch: { maxMessages: 500, maxWaitMs: 50, maxMessageBytes: 100_000 } }) },
      { back: { broker: "kafka", topic: back } },
      { PERSISTOR_KAFKA: JSON.stringify({ brokers: [kafka.host], maxMessageBytes: 11_000_000 }) },
    );
    const large = messageOf("", { payload: Buffer.alloc(200_000, "large "), key: Buffer.from("k"), attributes: CARRIED });
    await publish(from, [messageOf("small"), large]);
    await indexed(from, 1);
    await indexed("dead-letter", 1);
    expect((await resubmit("dead-letter", "back")).status).toBe(200);
    expect((await read(back, 1)).map(comparable)).toEqual([comparable(large)]);
  });

  test("carries its index records by a topic of Kafka where that is asked for", async () => {
    const [from, index] = [await topicOf("orders"), await topicOf("index", 2)];
    await openKafkaHost({ [from]: pipeline(from, { index: { broker: "kafka", topic: index, collection: from } }) });
    await publish(
      from,
      Array.from({ length: 500 }, (_, i) => nasty(i)),
    );
    await indexed(from, 500);
  });

  test("goes on with other pipelines while Kafka is away, says so in /readyz, and catches up", async () => {
    const from = await topicOf("orders");
    await openKafkaHost({
      [from]: pipeline(from),
      local: {
        source: { broker: "embedded", topic: "local" },
        store: { name: "local" },
        batch: { maxWaitMs: 20 },
        index: { collection: "local" },
      },
    });
    await publish(from, [messageOf("a")]);
    await indexed(from, 1);
    const readiness = async () => {
      const { status, body } = await (host as TestHost).call("GET", "/readyz");
      return { status, bad: body.ports.filter(({ ok }: { ok: boolean }) => !ok) };
    };
    await expect.poll(readiness).toMatchObject({ status: 200 });
    await kafka.kill();
    const bad = [{ port: `source ${from}`, detail: expect.stringContaining("PERSISTOR_KAFKA") }];
    await expect.poll(readiness, { timeout: 40_000 }).toMatchObject({ status: 503, bad });
    await (host as TestHost).feed("local", [{ text: "meanwhile" }]);
    await kafka.restart();
    await publish(from, [messageOf("b")]);
    await indexed(from, 2);
    await eventually(async () => (await (host as TestHost).call("GET", "/readyz")).status === 200);
  }, 120_000);

  test("starts although Kafka is not there, and says so", async () => {
    host = await openHost({
      PERSISTOR_KAFKA: JSON.stringify({ brokers: ["127.0.0.1:1"] }),
      PERSISTOR_PIPELINES: JSON.stringify({ orders: pipeline("orders") }),
    });
    await eventually(async () => (await (host as TestHost).call("GET", "/readyz")).status === 503);
  });

  test("carries messages of the embedded broker to Kafka and back: the ordering key as key, the content type as a header, the rest named", async () => {
    const to = await topicOf("from-embedded");
    await openKafkaHost(
      {
        orders: {
          source: { broker: "embedded", topic: "orders" },
          store: { name: "local" },
          batch: { maxWaitMs: 20 },
          index: { collection: "orders" },
        },
        [to]: pipeline(to),
      },
      { kafka: { broker: "kafka", topic: to }, back: { broker: "embedded", topic: "back" } },
    );
    const { publisher } = await (host as TestHost).composition.embedded();
    await publisher.publish("orders", [
      messageOf("plain"),
      messageOf("{}", {
        contentType: "application/json",
        orderingKey: "käse",
        attributes: [stringAttribute("a", "1"), stringAttribute("a", "2")],
      }),
      messageOf("both", { orderingKey: "o", key: Buffer.from("k") }),
      messageOf("typed", { attributes: NASTY_ATTRIBUTES.filter(({ kind }) => kind === "long") }),
      messageOf("", { payloadKind: "null", key: Buffer.from("tombstone") }),
    ]);
    await indexed("orders", 5);
    const { status, body } = await resubmit("orders", "kafka");
    expect([status, body.summary.published_count]).toEqual([206, 3]);
    expect(body.errors.pipeline_errors).toEqual([
      { id: "orders_3", reason: "unsupported_by_destination" },
      { id: "orders_4", reason: "unsupported_by_destination" },
    ]);
    const got = await read(to, 3);
    const byText = new Map(got.map((message) => [payloadText(message), message]));
    expect(comparable(byText.get("{}") as Message)).toEqual(
      comparable(
        messageOf("{}", {
          key: Buffer.from("käse"),
          attributes: [stringAttribute("a", "1"), stringAttribute("a", "2"), stringAttribute("content-type", "application/json")],
        }),
      ),
    );
    expect(byText.get("")?.payloadKind).toBe("null");
    await indexed(to, 3);
    expect((await resubmit(to, "back")).status).toBe(200);
    const back = await (await (host as TestHost).composition.embedded()).openSource({ id: "back", topic: "back", subscription: "s" });
    const returned = (await receiveAll(back, 3)).map(({ message }) => JSON.stringify(comparable(message)));
    expect(returned.toSorted()).toEqual(got.map((message) => JSON.stringify(comparable(message))).toSorted());
  });

  describeWhere(pubsubEmulatorMissing(), "and Pub/Sub", () => {
    test("carries messages of Kafka to Pub/Sub: the key as ordering key, headers as attributes, the rest named", async () => {
      const emulator = await startPubsubEmulator();
      try {
        const from = await topicOf("to-pubsub", 1);
        await openKafkaHost(
          { [from]: pipeline(from) },
          { pubsub: { broker: "pubsub", topic: "replay" } },
          { PUBSUB_EMULATOR_HOST: emulator.host, GOOGLE_CLOUD_PROJECT: "tests" },
        );
        for (const path of ["topics/replay", "subscriptions/reader"])
          await fetch(`http://${emulator.host}/v1/projects/tests/${path}`, {
            method: "PUT",
            headers: { "content-type": "application/json" },
            body: path.startsWith("topics") ? "{}" : JSON.stringify({ topic: "projects/tests/topics/replay" }),
          });
        await publish(from, [
          messageOf("keyed", { key: Buffer.from("ключ"), attributes: [stringAttribute("a", "1")] }),
          messageOf("plain"),
          messageOf("", { payloadKind: "null", key: Buffer.from("tombstone") }),
          messageOf("binary key", { key: Buffer.from(BYTES) }),
          messageOf("repeated", { attributes: [stringAttribute("a", "1"), stringAttribute("a", "2")] }),
          messageOf("binary header", { attributes: NASTY_ATTRIBUTES.filter(({ name }) => name === "binary") }),
        ]);
        await indexed(from, 6);
        const { status, body } = await resubmit(from, "pubsub");
        expect([status, body.summary.published_count]).toEqual([206, 2]);
        expect(body.errors.pipeline_errors.map(({ id }: { id: string }) => id)).toEqual(
          [2, 3, 4, 5].map((offset) => `${from}_0-${offset}`),
        );
        const { broker } = (host as TestHost).composition;
        const source = await (await broker("pubsub")).openSource({ id: "r", topic: "replay", subscription: "reader" });
        const got = (await receiveAll(source, 2)).map(({ message }) => comparable(message));
        expect(got).toContainEqual(comparable(messageOf("keyed", { orderingKey: "ключ", attributes: [stringAttribute("a", "1")] })));
        await source.close();
      } finally {
        await emulator.stop();
      }
    });
  });
});
