import { expect, test } from "vitest";
import { createConnecting } from "../../shared/adapters/brokers/kafka/connecting.ts";
import { createCoordinator } from "../../shared/adapters/brokers/kafka/group/coordinator.ts";
import { commitOffsets } from "../../shared/adapters/brokers/kafka/group/offsets.ts";
import { kafkaSettings } from "../../shared/adapters/brokers/kafka/settings.ts";
import type { Delivery } from "../../shared/core/ports/source.ts";
import { messageOf } from "../contract/support-messages.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { kafkaBrokerMissing } from "../services/kafka-broker.ts";
import { kafkaProbe, type ProbedRecord } from "../services/kafka-probe.ts";
import { eventually, freshTopic, numbered, receiveAll, receiveAndMore, receiveThrough, texts, useKafka } from "./support-kafka.ts";

const REBALANCED_WITHIN_MS = 50_000;
const NOTHING_MORE_MS = 700;
const hex = (bytes: Uint8Array | string) => Buffer.from(bytes as string).toString("hex");

/** A message as Apache's own client prints it. */
function probed({ message }: Delivery): Omit<ProbedRecord, "timestampType"> {
  return {
    partition: Number(message.partition),
    offset: Number(message.sequence),
    timestamp: message.publishTimeUs / 1000,
    key: message.key && hex(message.key),
    value: message.payloadKind === "null" ? null : hex(message.payload),
    headers: message.attributes.map(({ name, kind, value }) => [name, kind === "null" ? null : hex(value)]),
  };
}

const inOrder = <T extends { partition: number; offset: number }>(records: readonly T[]): T[] =>
  records.toSorted((a, b) => a.partition - b.partition || a.offset - b.offset);

describeWhere(kafkaBrokerMissing(), "a source of Kafka", () => {
  const {
    broker: kafka,
    clients,
    topicOf,
    publish,
  } = useKafka({ "group.min.session.timeout.ms": "1000", "message.max.bytes": "20000000", "log.cleaner.backoff.ms": "200" });

  test.each(["none", "gzip", "snappy", "lz4", "zstd"])(
    "reads what Apache's own client wrote, compressed by %s, to the byte, and that client reads the same",
    async (compression) => {
      const topic = await topicOf(3);
      const sent = (await kafkaProbe(["produce", kafka().host, topic, compression, "500"])).map((line) => JSON.parse(line) as ProbedRecord);
      const source = await clients.openSource(topic);
      const got = (await receiveAll(source, 500)).map(probed);
      const read = (await kafkaProbe(["consume", kafka().host, topic, "500"])).map((line) => JSON.parse(line) as ProbedRecord);
      expect(inOrder(got)).toEqual(inOrder(read.map(({ timestampType: _, ...record }) => record)));
      expect(sent.map(({ value }) => value).toSorted()).toEqual(got.map(({ value }) => value).toSorted());
    },
  );

  test("gives the broker's time of messages in a topic whose times the broker sets", async () => {
    const topic = await topicOf(1, { "message.timestamp.type": "LogAppendTime" });
    await kafkaProbe(["produce", kafka().host, topic, "none", "50"]);
    const read = (await kafkaProbe(["consume", kafka().host, topic, "50"])).map((line) => JSON.parse(line) as ProbedRecord);
    expect(read[0]?.timestampType).toBe("append");
    const source = await clients.openSource(topic);
    expect((await receiveAll(source, 50)).map(({ message }) => message.publishTimeUs / 1000)).toEqual(
      read.map(({ timestamp }) => timestamp),
    );
  });

  test("leaves out what transactions aborted, however they lie in each other, and gives it where that is asked for", async () => {
    const topic = await topicOf();
    await kafkaProbe(["transactions", kafka().host, topic]);
    const committed = await clients.openSource(topic);
    const expected = (await kafkaProbe(["consume", kafka().host, topic, "10"])).map((line) => {
      const { value } = JSON.parse(line) as ProbedRecord;
      return Buffer.from(value ?? "", "hex").toString();
    });
    const got = await receiveAndMore(committed, 10, NOTHING_MORE_MS);
    expect(texts(got)).toEqual(expected);
    expect(texts(got).toSorted()).toEqual(Array.from({ length: 10 }, (_, i) => `c${i + 1}`).toSorted());
    const all = await clients.openSource(topic, { isolation: "uncommitted" });
    const everything = texts(await receiveAndMore(all, 18, NOTHING_MORE_MS));
    expect(everything.filter((text) => text.startsWith("a"))).toHaveLength(6);
    expect(everything.filter((text) => text.startsWith("o"))).toHaveLength(2);
  });

  test("waits with what an open transaction holds back, and commits no offset beyond it", async () => {
    const topic = await topicOf();
    await kafkaProbe(["transactions", kafka().host, topic, "--leave-open"]);
    const source = await clients.openSource(topic);
    const got = await receiveAll(source, 11, NOTHING_MORE_MS);
    // What was committed behind the open transaction's first record has to wait for its end.
    expect(texts(got)).not.toContain("c10");
    await source.acknowledge(got);
    expect(texts(got).filter((text) => !text.startsWith("c"))).toEqual([]);
  });

  test("starts a new group at the earliest message, at the latest, or at a time", async () => {
    const topic = await topicOf();
    await publish(topic, numbered(0, 3));
    await new Promise((resolve) => setTimeout(resolve, 20));
    const between = new Date().toISOString();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await publish(topic, numbered(3, 5));
    const latest = await clients.openSource(topic, { start: "latest" });
    expect(await receiveAll(latest, 1, 100)).toEqual([]);
    await publish(topic, ["m5"]);
    const sources = await Promise.all(
      [{}, { start: between }, { start: "2100-01-01T00:00:00Z" }].map((own) => clients.openSource(topic, own)),
    );
    expect(texts(await receiveAll(latest, 1))).toEqual(["m5"]);
    expect(texts(await receiveAll(sources[0] as never, 6))).toEqual(numbered(0, 6));
    expect(texts(await receiveAll(sources[1] as never, 3))).toEqual(numbered(3, 6));
    expect(await receiveAll(sources[2] as never, 1, 200)).toEqual([]);
  });

  test("of a group that started at the latest message loses nothing that comes before its first commit", async () => {
    const topic = await topicOf();
    await publish(topic, ["before"]);
    const group = freshTopic("group");
    const first = await clients.openSource(topic, { start: "latest" }, group);
    expect(await receiveAll(first, 1, 100)).toEqual([]);
    await first.close();
    await publish(topic, ["meanwhile"]);
    const second = await clients.openSource(topic, { start: "latest" }, group);
    expect(texts(await receiveAll(second, 1))).toEqual(["meanwhile"]);
  });

  test("reads a partition that was added from its beginning, also where new groups start at the latest", async () => {
    const topic = await topicOf(1);
    const group = freshTopic("group");
    const source = await clients.openSource(topic, { start: "latest" }, group);
    expect(await receiveAll(source, 1, 100)).toEqual([]);
    await source.close();
    await kafka().addPartitions(topic, 3);
    const broker = await clients.openBroker();
    expect(await broker.publisher.publish(topic, [{ ...messageOf("in partition 2"), toPartition: "2" }])).toMatchObject([{ ok: true }]);
    const again = await clients.openSource(topic, { start: "latest" }, group);
    expect(texts(await receiveAll(again, 1))).toContain("in partition 2");
  });

  test("starts at the latest what another consumer of its new group has not noted yet, and at the beginning what was added since", async () => {
    const topic = await topicOf(3);
    const group = freshTopic("group");
    const { publisher } = await clients.openBroker();
    const toEach = (name: string) =>
      publisher.publish(
        topic,
        [0, 1, 2].map((partition) => ({ ...messageOf(`${name}${partition}`), toPartition: String(partition) })),
      );
    await toEach("before ");
    const cluster = createConnecting(kafkaSettings.parse({ brokers: [kafka().host] }))();
    const { id: topicId } = await cluster.topic(topic, 0);
    const noted = { offset: 0, note: { topicId, firstCount: 2 } };
    await commitOffsets(createCoordinator(cluster, group, 5_000), group, { memberId: "", id: -1 }, topic, new Map([[0, noted]]));
    await cluster.close();
    const source = await clients.openSource(topic, { start: "latest" }, group);
    expect(texts(await receiveAndMore(source, 2, NOTHING_MORE_MS)).toSorted()).toEqual(["before 0", "before 2"]);
    await toEach("after ");
    expect(texts(await receiveAll(source, 3)).toSorted()).toEqual(["after 0", "after 1", "after 2"]);
  });

  test("leaves its group when it is closed, and the next one goes on behind what was settled, whatever else was handed over", async () => {
    const topic = await topicOf();
    const group = freshTopic("group");
    await publish(topic, numbered(0, 10));
    // Had it not left, the next one would have to wait for the end of its session.
    const source = await clients.openSource(topic, { sessionTimeoutMs: 300_000 }, group);
    const got = await receiveAll(source, 10);
    await source.acknowledge([...got.slice(0, 3), ...got.slice(5)]);
    await source.close();
    const again = await clients.openSource(topic, {}, group);
    expect(texts(await receiveAll(again, 7))).toEqual(numbered(3, 10));
  });

  test("reads a compacted topic with its gaps, and settles it to its end", async () => {
    const config = {
      "cleanup.policy": "compact",
      "segment.ms": "100",
      "min.cleanable.dirty.ratio": "0.01",
      "max.compaction.lag.ms": "100",
    };
    const topic = await topicOf(1, config);
    const { publisher } = await clients.openBroker();
    const round = async (i: number) => {
      const messages = ["a", "b", "c"].map((key) => messageOf(`${key}${i}`, { key: Buffer.from(key) }));
      expect((await publisher.publish(topic, messages)).every(({ ok }) => ok)).toBe(true);
    };
    for (let i = 0; i < 5; i++) {
      await round(i);
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    let number = 5;
    let got: Delivery[] = [];
    await eventually(async () => {
      // A segment is compacted once another one has begun.
      await round(number++);
      got = await receiveThrough(await clients.openSource(topic), `c${number - 1}`);
      return got.length < 3 * number - 6;
    }, REBALANCED_WITHIN_MS);
    const offsets = got.map(({ message }) => Number(message.sequence));
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    expect(texts(got).slice(-3)).toEqual(["a", "b", "c"].map((key) => `${key}${number - 1}`));
    const group = freshTopic("group");
    const source = await clients.openSource(topic, {}, group);
    await source.acknowledge(await receiveThrough(source, `c${number - 1}`));
    await source.close();
    await round(number);
    const end = await clients.openSource(topic, {}, group);
    expect(texts(await receiveAll(end, 3))).toEqual(["a", "b", "c"].map((key) => `${key}${number}`));
  });

  test("settles a topic that ends in the markers of transactions", async () => {
    const topic = await topicOf();
    const group = freshTopic("group");
    await kafkaProbe(["transactions", kafka().host, topic]);
    const source = await clients.openSource(topic, {}, group);
    const got = await receiveAll(source, 10);
    await source.acknowledge(got);
    await source.close();
    const end = await clients.openSource(topic, {}, group);
    expect(await receiveAll(end, 1, NOTHING_MORE_MS)).toEqual([]);
  });

  test("hands over messages of 10 MB", async () => {
    const topic = await topicOf(1, { "max.message.bytes": "11000000" });
    const broker = await clients.openBroker({ maxMessageBytes: 10_500_000 });
    const payload = Buffer.alloc(10_000_000, "large ");
    expect(await broker.publisher.publish(topic, [messageOf("a"), messageOf("", { payload }), messageOf("b")])).toMatchObject([
      { ok: true },
      { ok: true },
      { ok: true },
    ]);
    const source = await clients.openSource(topic);
    const got = await receiveAll(source, 3);
    expect(got.map(({ message }) => message.payload.length)).toEqual([1, 10_000_000, 1]);
    expect(Buffer.compare(got[1]?.message.payload as Buffer, payload)).toBe(0);
  });
});
