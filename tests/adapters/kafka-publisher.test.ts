import { expect, test } from "vitest";
import { partitionOfKey } from "../../shared/adapters/brokers/kafka/publisher/partitioning.ts";
import type { MessageContent } from "../../shared/core/message.ts";
import { comparable, messageOf, payloadText } from "../contract/support-messages.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { freeze, thaw } from "../services/freezing.ts";
import { kafkaBrokerMissing } from "../services/kafka-broker.ts";
import { kafkaProbe } from "../services/kafka-probe.ts";
import { startTcpGate } from "../services/tcp-gate.ts";
import { cutAgainAndAgain, eventually, freshTopic, receiveAll, receiveAndMore, receiveThrough, texts, useKafka } from "./support-kafka.ts";

/** Well above the ten seconds within which a publisher gives up, and below a test's own limit. */
const NO_HANG_MS = 25_000;
const NOTHING_MORE_MS = 1_500;
const keyed = (text: string, key: string): MessageContent => messageOf(text, { key: Buffer.from(key) });

describeWhere(kafkaBrokerMissing(), "a publisher to Kafka", () => {
  const { broker: kafka, clients, topicOf } = useKafka();
  const read = async (topic: string, count: number) => receiveAll(await clients.openSource(topic), count);

  test("places keys where Apache's own client places them", async () => {
    const keys = ["", "a", "ab", "abc", "abcd", "ключ", "\u0000\u0001", "x".repeat(1000)].map((text) => Buffer.from(text));
    for (let i = 0; i < 64; i++) keys.push(Buffer.from(Array.from({ length: i }, (_, j) => (i * 37 + j * 151) % 256)));
    for (const partitions of [1, 7, 16]) {
      const theirs = await kafkaProbe(["partition", String(partitions), ...keys.map((key) => key.toString("hex"))]);
      expect(keys.map((key) => partitionOfKey(key, partitions))).toEqual(theirs.map(Number));
    }
  });

  test("keeps the order of each key, spreads what has none, and puts an empty key where keys go", async () => {
    const topic = await topicOf(4);
    const { publisher } = await clients.openBroker();
    const messages = Array.from({ length: 3000 }, (_, i) => (i % 3 === 0 ? messageOf(`-${i}`) : keyed(`k${i % 7}-${i}`, `k${i % 7}`)));
    for (let i = 0; i < 3000; i += 500) await publisher.publish(topic, messages.slice(i, i + 500));
    const got = (await read(topic, 3000)).map(({ message }) => message);
    for (let k = 0; k < 7; k++) {
      const ofKey = got.filter((message) => payloadText(message).startsWith(`k${k}-`));
      expect(new Set(ofKey.map(({ partition }) => partition))).toEqual(new Set([String(partitionOfKey(Buffer.from(`k${k}`), 4))]));
      const numbers = ofKey.map((message) => Number(payloadText(message).split("-")[1]));
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    }
    const unkeyed = Map.groupBy(
      got.filter(({ key }) => key === null),
      ({ partition }) => partition,
    );
    expect([...unkeyed.values()].every(({ length }) => length > 100)).toBe(true);
    expect(unkeyed.size).toBe(4);
  });

  test("keeps partition and timestamp where that is asked for, and names what the topic has no partition for", async () => {
    const topic = await topicOf(3);
    const { publisher } = await clients.openBroker();
    const timeUs = Date.parse("2001-02-03T04:05:06.789Z") * 1000;
    const outcomes = await publisher.publish(topic, [
      { ...keyed("kept", "k"), toPartition: "2", withTimeUs: timeUs },
      { ...keyed("no such partition", "k"), toPartition: "3" },
      { ...messageOf("no number"), toPartition: "" },
    ]);
    expect(outcomes).toMatchObject([
      { ok: true, messageId: "2-0" },
      { ok: false, error: { code: "unsupported", retryable: false, message: expect.stringMatching(/partition 3: the topic has 3/) } },
      { ok: false, error: { code: "unsupported" } },
    ]);
    const [kept] = await read(topic, 1);
    expect(kept?.message).toMatchObject({ partition: "2", publishTimeUs: timeUs });
  });

  test("keeps the order of what has no key where that is asked for: one source partition goes to one partition", async () => {
    const topic = await topicOf(4);
    const { publisher } = await clients.openBroker();
    for (let call = 0; call < 5; call++) {
      const messages = Array.from({ length: 400 }, (_, i) => ({ ...messageOf(`${call * 400 + i}`), orderedBy: String(i % 8) }));
      await publisher.publish(topic, messages);
    }
    const got = (await read(topic, 2000)).map(({ message }) => [message.partition, Number(payloadText(message))] as const);
    for (let source = 0; source < 8; source++) {
      const own = got.filter(([, number]) => number % 8 === source);
      expect(new Set(own.map(([partition]) => partition))).toEqual(new Set([String(source % 4)]));
      expect(own.map(([, number]) => number)).toEqual(own.map(([, number]) => number).toSorted((a, b) => a - b));
    }
  });

  test.each(["gzip", "snappy", "lz4", "zstd"])("compresses by %s, which Apache's own client reads", async (compression) => {
    const topic = await topicOf();
    const { publisher } = await clients.openBroker({ compression });
    const contents = [keyed("é".repeat(5000), "k"), messageOf("", { payloadKind: "null", key: Buffer.from("tombstone") }), messageOf("")];
    expect((await publisher.publish(topic, contents)).map(({ ok }) => ok)).toEqual([true, true, true]);
    const theirs = (await kafkaProbe(["consume", kafka().host, topic, "3"])).map((line) => JSON.parse(line) as { value: string | null });
    expect(theirs.map(({ value }) => value)).toEqual([Buffer.from("é".repeat(5000)).toString("hex"), null, ""]);
    expect((await read(topic, 3)).map(({ message }) => comparable(message))).toEqual(contents.map(comparable));
  });

  test("names each message that the topic does not take, and sends the others in their order", async () => {
    const small = await topicOf(1, { "max.message.bytes": "5000" });
    const { publisher } = await clients.openBroker();
    const payload = Buffer.alloc(6000, 1);
    const mixed = Array.from({ length: 40 }, (_, i) => (i % 10 === 3 ? messageOf("", { payload }) : messageOf(`m${i}`)));
    const outcomes = await publisher.publish(small, mixed);
    outcomes.forEach((outcome, i) => {
      if (i % 10 !== 3) expect(outcome).toMatchObject({ ok: true });
      else
        expect(outcome).toMatchObject({
          ok: false,
          error: { code: "too_large", retryable: false, message: expect.stringContaining("max.message.bytes") },
        });
    });
    expect((await read(small, 36)).map(({ message }) => payloadText(message))).toEqual(
      Array.from({ length: 40 }, (_, i) => `m${i}`).filter((_, i) => i % 10 !== 3),
    );
    const compacted = await topicOf(1, { "cleanup.policy": "compact" });
    expect(await publisher.publish(compacted, [keyed("a", "k"), messageOf("no key"), keyed("b", "k")])).toMatchObject([
      { ok: true },
      { ok: false, error: { code: "refused", message: expect.stringContaining("compacted") } },
      { ok: true },
    ]);
  });

  test("throws that a topic is missing, and makes none", async () => {
    const { publisher } = await clients.openBroker();
    const missing = freshTopic("missing");
    await expect(publisher.publish(missing, [messageOf("x")])).rejects.toMatchObject({ code: "topic_missing", retryable: false });
    await kafka().createTopic(missing);
    expect(await publisher.publish(missing, [messageOf("x")])).toMatchObject([{ ok: true }]);
  });

  test(
    "throws that no broker can be reached, at a port that is shut and at an address that never answers",
    async () => {
      const shut = await startTcpGate(1);
      await shut.stop();
      const attempts = [`127.0.0.1:${shut.port}`, "203.0.113.1:9092"].map(async (host) => {
        const { publisher } = await clients.openBroker({ brokers: [host] });
        await expect(publisher.publish("orders", [messageOf("x")])).rejects.toMatchObject({
          code: "broker_unavailable",
          retryable: true,
          message: expect.stringContaining("PERSISTOR_KAFKA"),
        });
      });
      await Promise.all(attempts);
    },
    NO_HANG_MS,
  );

  test("publishes each message once, in order, although connections are cut again and again", async () => {
    const topic = await topicOf(1);
    const { publisher } = await clients.openBroker();
    const done = new AbortController();
    const cutting = cutAgainAndAgain(Number(kafka().host.split(":")[1]), 200, done.signal);
    for (let i = 0; i < 3000; i += 100) {
      const outcomes = await publisher.publish(
        topic,
        Array.from({ length: 100 }, (_, j) => messageOf(`m${i + j}`)),
      );
      expect(outcomes.filter(({ ok }) => !ok)).toEqual([]);
    }
    done.abort();
    expect(await cutting).toBeGreaterThan(0);
    expect(texts(await receiveAndMore(await clients.openSource(topic), 3000, NOTHING_MORE_MS))).toEqual(
      Array.from({ length: 3000 }, (_, i) => `m${i}`),
    );
  });

  test("never takes a new message for the repeat of one that was given up", async () => {
    const topic = await topicOf(1);
    const { publisher } = await clients.openBroker();
    await publisher.publish(topic, [messageOf("before")]);
    await freeze(kafka().pid);
    const givenUp = await publisher.publish(topic, [messageOf("given up 1"), messageOf("given up 2")]);
    thaw(kafka().pid);
    expect(givenUp).toMatchObject([
      { ok: false, error: { retryable: true } },
      { ok: false, error: { retryable: true } },
    ]);
    await eventually(async () => (await publisher.publish(topic, [messageOf("after 1"), messageOf("after 2")])).every(({ ok }) => ok));
    const got = texts(await receiveThrough(await clients.openSource(topic), "after 2"));
    expect(got.filter((text) => text.startsWith("after"))).toEqual(["after 1", "after 2"]);
    expect(got[0]).toBe("before");
  });

  test("goes on after the broker was started again", async () => {
    const topic = await topicOf(2);
    const { publisher } = await clients.openBroker();
    await publisher.publish(topic, [messageOf("a")]);
    await kafka().restart();
    expect(await publisher.publish(topic, [messageOf("b"), messageOf("c")])).toMatchObject([{ ok: true }, { ok: true }]);
    expect((await read(topic, 3)).map(({ message }) => payloadText(message)).toSorted()).toEqual(["a", "b", "c"]);
  });
});
