import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Consumer } from "@platformatic/kafka";
import { expect, test } from "vitest";
import type { Delivery, Source } from "../../shared/core/ports/source.ts";
import { messageOf, payloadText } from "../contract/support-messages.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { kafkaBrokerMissing } from "../services/kafka-broker.ts";
import { cutAgainAndAgain, eventually, freshTopic, numbered, receiveAll, receiveAndMore, texts, useKafka } from "./support-kafka.ts";

const REBALANCED_WITHIN_MS = 50_000;
const NOTHING_MORE_MS = 700;

describeWhere(kafkaBrokerMissing(), "a source of Kafka whose group, topic or broker changes", () => {
  const { broker: kafka, clients, topicOf, publish } = useKafka({ "group.min.session.timeout.ms": "1000" });

  test("hands out the partitions evenly to consumers that come and go, each message to one of them", async () => {
    const topic = await topicOf(16);
    const group = freshTopic("group");
    const broker = await clients.openBroker();
    const wave = async (name: string) => {
      const messages = Array.from({ length: 160 }, (_, i) => ({ ...messageOf(`${name}-${i}`), toPartition: String(i % 16) }));
      expect((await broker.publisher.publish(topic, messages)).every(({ ok }) => ok)).toBe(true);
    };
    const seen = new Map<string, number>();
    const partitionsOf = new Map<number, Set<string>>();
    const stop = new AbortController();
    const consume = async (number: number, own: AbortController) => {
      const source = await clients.openSource(topic, { sessionTimeoutMs: 10_000 }, group);
      const signal = AbortSignal.any([stop.signal, own.signal]);
      while (!signal.aborted) {
        const got = await source.receive({ maxMessages: 50, maxBytes: 1e6, maxWaitMs: 100, signal });
        for (const { message } of got) {
          const text = payloadText(message);
          seen.set(text, (seen.get(text) ?? 0) + 1);
          partitionsOf.set(number, (partitionsOf.get(number) ?? new Set()).add(message.partition));
        }
        await source.acknowledge(got);
      }
      await source.close();
    };
    const [one, two, three] = [new AbortController(), new AbortController(), new AbortController()];
    const running = [consume(1, one)];
    await wave("a");
    await eventually(() => seen.size === 160);
    running.push(consume(2, two), consume(3, three));
    const all = async (name: string) => {
      await wave(name);
      await eventually(() => [...seen.keys()].filter((text) => text.startsWith(`${name}-`)).length === 160);
    };
    const shares = () => [...partitionsOf.values()].map(({ size }) => size).toSorted();
    await eventually(async () => {
      partitionsOf.clear();
      await all(`b${Math.random()}`);
      return shares().join() === "5,5,6";
    }, REBALANCED_WITHIN_MS);
    expect(shares()).toEqual([5, 5, 6]);
    two.abort();
    await running[1];
    await all("c");
    stop.abort();
    await Promise.all(running);
    // A clean rebalance waits for what is handed over: nothing comes twice.
    expect([...seen.values()].filter((times) => times > 1)).toEqual([]);
  });

  test("of more consumers than partitions lets the others wait, and take over when one leaves", async () => {
    const topic = await topicOf(1);
    const group = freshTopic("group");
    const sources = await Promise.all([1, 2, 3].map(() => clients.openSource(topic, { sessionTimeoutMs: 2_000 }, group)));
    const once = (source: Source) => source.receive({ maxMessages: 1, maxBytes: 1e6, maxWaitMs: 300 });
    await Promise.all(sources.map(once));
    await publish(topic, numbered(0, 3));
    const left = [...sources];
    for (let i = 0; i < 3; i++) {
      const got: Delivery[] = [];
      await eventually(async () => {
        for (const source of left) {
          const more = await once(source);
          if (more.length === 0) continue;
          got.push(...more);
          await source.acknowledge(more);
          await source.close();
          left.splice(left.indexOf(source), 1);
          return true;
        }
        return false;
      });
      expect(texts(got)).toEqual([`m${i}`]);
    }
  });

  test("says that a topic is missing, goes on once it is there, and reads all of it", async () => {
    const topic = freshTopic("later");
    const source = await clients.openSource(topic);
    await expect(source.receive({ maxMessages: 1, maxBytes: 1e6, maxWaitMs: 30_000 })).rejects.toMatchObject({
      code: "topic_missing",
      message: expect.stringMatching(/UNKNOWN_TOPIC_OR_PARTITION.*create the topic/),
    });
    await kafka().createTopic(topic, { partitions: 2 });
    await publish(topic, ["a", "b"]);
    await eventually(async () => {
      const got = await source.receive({ maxMessages: 2, maxBytes: 1e6, maxWaitMs: 1_000 }).catch(() => []);
      return got.length > 0;
    });
  });

  test("of a topic that was made again under its name reads the new one from its beginning, and settles nothing of the old", async () => {
    const topic = await topicOf(1);
    const group = freshTopic("group");
    await publish(topic, numbered(0, 5));
    const source = await clients.openSource(topic, { start: "latest" }, group);
    expect(await receiveAll(source, 1, 100)).toEqual([]);
    await publish(topic, numbered(5, 8));
    const old = await receiveAll(source, 3);
    expect(texts(old)).toEqual(numbered(5, 8));
    await kafka().deleteTopic(topic);
    await eventually(() =>
      kafka()
        .createTopic(topic, { partitions: 1 })
        .then(
          () => true,
          () => false,
        ),
    );
    await publish(topic, ["new 0", "new 1"]);
    const got: Delivery[] = [];
    await eventually(async () => {
      got.push(...(await source.receive({ maxMessages: 10, maxBytes: 1e6, maxWaitMs: 500 }).catch(() => [])));
      return got.length >= 2;
    });
    expect(texts(got)).toEqual(["new 0", "new 1"]);
    expect(await source.acknowledge(old)).toBe(0);
    expect(await source.acknowledge(got)).toBe(2);
  });

  test("of a topic that was made again while nobody read it starts at its beginning, although the group had come further", async () => {
    const topic = await topicOf(1);
    const group = freshTopic("group");
    await publish(topic, numbered(0, 5));
    const before = await clients.openSource(topic, {}, group);
    await before.acknowledge(await receiveAll(before, 5));
    await before.close();
    await kafka().deleteTopic(topic);
    await eventually(() =>
      kafka()
        .createTopic(topic, { partitions: 1 })
        .then(
          () => true,
          () => false,
        ),
    );
    await publish(topic, numbered(10, 20));
    const after = await clients.openSource(topic, {}, group);
    expect(texts(await receiveAll(after, 10))).toEqual(numbered(10, 20));
  });

  test("goes on behind what the topic's retention deleted, and says how much that was", async () => {
    const topic = await topicOf(1);
    const group = freshTopic("group");
    await publish(topic, numbered(0, 10));
    const before = await clients.openSource(topic, {}, group);
    await before.acknowledge((await receiveAll(before, 10)).slice(0, 2));
    await before.close();
    await kafka().deleteRecords(topic, 0, 6);
    const after = await clients.openSource(topic, {}, group);
    expect(texts(await receiveAll(after, 4))).toEqual(numbered(6, 10));
    expect(clients.lines).toContainEqual({
      event: "messages were deleted by the topic's retention before they were read",
      fields: expect.objectContaining({ partition: 0, wanted: 2, first: 6, lost: 4 }),
    });
  });

  test("gives every message, and settles it, although connections are cut again and again", async () => {
    const topic = await topicOf(4);
    await publish(topic, numbered(0, 4_000));
    const group = freshTopic("group");
    const source = await clients.openSource(topic, { sessionTimeoutMs: 5_000 }, group);
    const port = Number(kafka().host.split(":")[1]);
    const done = new AbortController();
    const cutting = cutAgainAndAgain(port, 400, done.signal);
    const seen = new Set<string>();
    try {
      await eventually(async () => {
        const got = await source.receive({ maxMessages: 100, maxBytes: 1e6, maxWaitMs: 200 }).catch(() => []);
        for (const text of texts(got)) seen.add(text);
        // A commit that was cut is made up for by the next.
        await source.acknowledge(got).catch(() => 0);
        return seen.size === 4_000;
      }, REBALANCED_WITHIN_MS);
    } finally {
      done.abort();
      await cutting;
    }
    await source.close();
    const after = await clients.openSource(topic, {}, group);
    expect(await receiveAll(after, 1, NOTHING_MORE_MS)).toEqual([]);
  });

  test("of a partition whose bytes were damaged on the broker's disk gives what lies before, goes on with the others, and says where", async () => {
    const topic = await topicOf(2);
    const { publisher } = await clients.openBroker();
    const toPartition = (partition: number, text: string) =>
      publisher.publish(topic, [{ ...messageOf(text), toPartition: String(partition) }]);
    for (const text of ["a", "damaged", "c"]) await toPartition(0, text);
    await toPartition(1, "d");
    await kafka().terminate();
    flipByte(join(kafka().dataDir, `${topic}-0`, "00000000000000000000.log"), "damaged");
    await kafka().restart();
    const source = await clients.openSource(topic);
    const got: Delivery[] = [];
    let failure: unknown;
    await eventually(async () => {
      await source.receive({ maxMessages: 10, maxBytes: 1e6, maxWaitMs: 300 }).then(
        (more) => got.push(...more),
        (error) => {
          failure = error;
        },
      );
      return failure !== undefined && got.length >= 2;
    });
    expect(texts(got).toSorted()).toEqual(["a", "d"]);
    expect(failure).toMatchObject({ message: expect.stringMatching(/partition 0 of .* at offset 1: .*checksum/) });
    await toPartition(1, "e");
    await eventually(async () => {
      got.push(...(await source.receive({ maxMessages: 10, maxBytes: 1e6, maxWaitMs: 300 }).catch(() => [])));
      return texts(got).includes("e");
    });
    const logged = clients.lines.filter(({ event }) => event === "records cannot be read");
    expect(logged[0]?.fields).toMatchObject({ partition: 0, offset: 1 });
    expect(logged.length).toBeLessThan(10);
    expect(await source.acknowledge(got)).toBe(3);
  });

  test("says that a group is in use by other consumers", async () => {
    const topic = await topicOf();
    const group = freshTopic("group");
    const others = new Consumer({ clientId: "tests", groupId: group, bootstrapBrokers: [kafka().host] });
    others.topics.trackAll(topic);
    await others.joinGroup({});
    const source = await clients.openSource(topic, {}, group);
    await expect(source.receive({ maxMessages: 1, maxBytes: 1e6, maxWaitMs: 20_000 })).rejects.toMatchObject({
      code: "refused",
      message: expect.stringMatching(/INCONSISTENT_GROUP_PROTOCOL.*source\.subscription/),
    });
    void others.close(true).catch(() => undefined);
  });

  test("stops fetching while too much is unsettled, and takes up again what comes then", async () => {
    const topic = await topicOf(2);
    const broker = await clients.openBroker();
    const payload = Buffer.alloc(900_000, "x");
    for (let i = 0; i < 40; i++)
      await broker.publisher.publish(
        topic,
        Array.from({ length: 5 }, () => messageOf("", { payload })),
      );
    const source = await clients.openSource(topic);
    const got = await receiveAndMore(source, 101, NOTHING_MORE_MS);
    expect(got.length).toBeGreaterThan(100);
    expect(got.length).toBeLessThan(160);
    expect(await source.acknowledge(got)).toBe(got.length);
    const rest = await receiveAll(source, 200 - got.length);
    expect(got.length + rest.length).toBe(200);
  });

  test("says that the brokers are away while they are, and goes on where it was", async () => {
    const topic = await topicOf();
    await publish(topic, ["a", "b"]);
    const source = await clients.openSource(topic);
    const got = await receiveAll(source, 2);
    await source.acknowledge(got.slice(0, 1));
    await kafka().kill();
    await eventually(() =>
      source.receive({ maxMessages: 10, maxBytes: 1e6, maxWaitMs: 4_000 }).then(
        () => false,
        (error) => {
          expect(error).toMatchObject({ code: "broker_unavailable", retryable: true, message: expect.stringContaining("PERSISTOR_KAFKA") });
          return true;
        },
      ),
    );
    await kafka().restart();
    await publish(topic, ["c"]);
    const after: Delivery[] = [];
    await eventually(async () => {
      after.push(...(await source.receive({ maxMessages: 10, maxBytes: 1e6, maxWaitMs: 1_000 }).catch(() => [])));
      return texts(after).includes("c");
    }, REBALANCED_WITHIN_MS);
    expect(texts(after).filter((text) => text === "a")).toEqual([]);
  });
});

/** Changes a byte of `text` where it lies in a file. */
function flipByte(file: string, text: string): void {
  const bytes = readFileSync(file);
  const at = bytes.indexOf(text);
  expect(at).toBeGreaterThan(0);
  bytes[at] = (bytes[at] as number) ^ 1;
  writeFileSync(file, bytes);
}
