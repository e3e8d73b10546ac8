import { setTimeout as sleep } from "node:timers/promises";
import rhea from "rhea";
import { describe, expect, test } from "vitest";
import { type Message, stringAttribute } from "../../shared/core/message.ts";
import { comparable, messageOf } from "../contract/support-messages.ts";
import { useEventHubs } from "./support-event-hubs.ts";
import { eventually, numbered, receiveAll, receiveAndMore, texts } from "./support-sources.ts";

const NOTHING_MORE_MS = 1_500;
const { types, message: codec } = rhea as unknown as {
  types: Record<string, (value: unknown) => unknown>;
  message: { encode(message: object): Buffer; decode(bytes: Buffer): object; data_section(data: Buffer): unknown };
};

describe("a source of Event Hubs", () => {
  const { server, openBroker, openSource, hubOf, publish, checkpoints, storage, groupOf, lines } = useEventHubs();

  test("reads all partitions, each message with the place and the time that the service gave it", async () => {
    const hub = await hubOf(4);
    for (const partition of ["0", "1", "2", "3"]) await publish(hub, numbered(0, 25 * (1 + Number(partition))), partition);
    const got = await receiveAll(await openSource(hub), 250);
    for (const partition of ["0", "1", "2", "3"]) {
      const own = got.map(({ message }) => message).filter((message) => message.partition === partition);
      const stored = await server().messages(`${hub}/Partitions/${partition}`);
      expect(own.map(({ brokerMessageId, sequence, publishTimeUs }) => [brokerMessageId, sequence, publishTimeUs])).toEqual(
        stored.map(({ offset, sequence, enqueuedAt }) => [`${partition}-${offset}`, BigInt(sequence), enqueuedAt.getTime() * 1000]),
      );
    }
    expect(got).toHaveLength(250);
  });

  test("keeps the types of properties and the annotations of others, and leaves out what the service sets", async () => {
    const hub = await hubOf();
    const bytes = codec.encode({
      message_annotations: {
        "x-opt-partition-key": "key",
        "iothub-connection-device-id": "device",
        "x-opt-publisher": "publisher",
        "com.microsoft:producer-id": types.wrap_long?.(5),
        "com.microsoft:producer-epoch": types.wrap_short?.(1),
        "com.microsoft:producer-sequence-number": types.wrap_int?.(9),
      },
      message_id: "m-1",
      application_properties: {
        float: types.wrap_float?.(1),
        long: types.wrap_long?.(Buffer.from("7fffffffffffffff", "hex")),
        Kind: "upper",
        kind: "lower",
      },
      body: codec.data_section(Buffer.from("123")),
    });
    await server().load(hub, [bytes]);
    const [delivery] = await receiveAll(await openSource(hub), 1);
    expect(comparable(delivery?.message as never)).toEqual(
      comparable(
        messageOf("123", {
          orderingKey: "key",
          attributes: [
            { name: "float", kind: "amqp:float", value: Buffer.from("3f800000", "hex") },
            { name: "long", kind: "long", value: Buffer.from("7fffffffffffffff", "hex") },
            stringAttribute("Kind", "upper"),
            stringAttribute("kind", "lower"),
          ],
          system: [
            stringAttribute("amqp:annotation:iothub-connection-device-id", "device"),
            stringAttribute("amqp:annotation:x-opt-publisher", "publisher"),
            stringAttribute("amqp:message-id", "m-1"),
          ],
        }),
      ),
    );
  });

  test("keeps bodies and messages that the SDK cannot read, and goes on behind them", async () => {
    const hub = await hubOf();
    const good = codec.encode({ body: codec.data_section(Buffer.from("good")) });
    // Lists that are longer than their element, and a name without a value.
    const [sequence, value, properties, attributes] = [
      "005376c003014101",
      "005377c003014101",
      "005373c003014101",
      "005374c10401a10161",
    ].map((hex) => Buffer.from(hex, "hex")) as [Buffer, Buffer, Buffer, Buffer];
    await server().load(hub, [sequence, good, value, properties, good, attributes, good]);
    const got = (await receiveAll(await openSource(hub), 7)).map(({ message }) => message);
    expect(got.map((message) => message.sequence)).toEqual([0n, 1n, 2n, 3n, 4n, 5n, 6n]);
    for (const [at, payloadKind] of [
      [0, "amqp-sequence"],
      [2, "amqp-value"],
    ] as const)
      expect(got[at]).toMatchObject({ payloadKind, payload: Buffer.from("c003014101", "hex"), system: [] });
    for (const [at, bytes] of [
      [3, properties],
      [5, attributes],
    ] as const) {
      expect(Buffer.from((got[at] as Message).payload)).toEqual(bytes);
      expect(got[at]?.publishTimeUs).toBeGreaterThan(0);
      expect(got[at]?.system).toMatchObject([{ name: "amqp:unreadable" }]);
    }
    expect(lines).toEqual([]);
  });

  test("starts a new group at the earliest message, at the latest, or at a time", async () => {
    const starts = async (count: number, own: (between: string) => Record<string, unknown>) => {
      const hub = await hubOf(2);
      await publish(hub, numbered(0, 3), "1");
      await sleep(20);
      const between = new Date().toISOString();
      await sleep(20);
      await publish(hub, numbered(3, 5), "1");
      const source = await openSource(hub, own(between));
      await source.receive({ maxMessages: 0, maxBytes: 1, maxWaitMs: 0 });
      const first = texts(await receiveAndMore(source, count, NOTHING_MORE_MS));
      await publish(hub, ["m5"], "0");
      return [first, texts(await receiveAll(source, 1))];
    };
    expect(
      await Promise.all([
        starts(5, () => ({})),
        starts(0, () => ({ start: "latest" })),
        starts(2, (between) => ({ start: between })),
        starts(0, () => ({ start: "2100-01-01T00:00:00Z" })),
      ]),
    ).toEqual([
      [numbered(0, 5), ["m5"]],
      [[], ["m5"]],
      [numbered(3, 5), ["m5"]],
      [[], ["m5"]],
    ]);
  });

  test("of a group that started at the latest message loses nothing that comes before its first checkpoint", async () => {
    const hub = await hubOf(2);
    await publish(hub, ["before"], "0");
    const first = await openSource(hub, { start: "latest" });
    expect(await receiveAll(first, 1, 100)).toEqual([]);
    await first.close();
    await publish(hub, ["meanwhile 0"], "0");
    await publish(hub, ["meanwhile 1"], "1");
    const second = await openSource(hub, { start: "latest" });
    expect(texts(await receiveAll(second, 2)).toSorted()).toEqual(["meanwhile 0", "meanwhile 1"]);
  });

  test("reads a partition that was added from its beginning, also where new groups start at the latest", async () => {
    const hub = await hubOf(2);
    await publish(hub, ["in the first"], "0");
    await publish(hub, ["in the added one"], "1");
    await storage().open();
    await storage().noteOf(groupOf(hub), { createdMs: Date.now(), partitions: 1 });
    const source = await openSource(hub, { start: "latest" });
    expect(texts(await receiveAndMore(source, 1, NOTHING_MORE_MS))).toEqual(["in the added one"]);
  });

  test("never writes a checkpoint past a message that is not settled", async () => {
    const hub = await hubOf();
    await publish(hub, numbered(0, 10));
    const source = await openSource(hub);
    const got = await receiveAll(source, 10);
    await source.acknowledge(got.slice(5));
    expect(await checkpoints(hub)).toEqual({});
    await source.acknowledge(got.slice(0, 3));
    expect(await checkpoints(hub)).toEqual({ 0: 2 });
    await source.acknowledge(got.slice(4, 5));
    expect(await checkpoints(hub)).toEqual({ 0: 2 });
    await source.close();
    const next = await openSource(hub);
    const again = await receiveAll(next, 7);
    expect(texts(again)).toEqual(numbered(3, 10));
    await next.acknowledge(again);
    expect(await checkpoints(hub)).toEqual({ 0: 9 });
  });

  test("hands over again what is released, while everything behind it is settled", async () => {
    const hub = await hubOf();
    await publish(hub, numbered(0, 3));
    const source = await openSource(hub);
    const got = await receiveAll(source, 3);
    await source.acknowledge(got.slice(1));
    await source.release(got.slice(0, 1), 0);
    const again = await receiveAll(source, 1);
    expect(again).toMatchObject([{ attempt: 2, message: { brokerMessageId: got[0]?.message.brokerMessageId } }]);
    expect(await checkpoints(hub)).toEqual({});
    expect(await source.acknowledge(got.slice(0, 1))).toBe(0);
    expect(await source.acknowledge(again)).toBe(1);
    expect(await checkpoints(hub)).toEqual({ 0: 2 });
  });

  test("logs how many messages the retention deleted before they were read, and goes on with the first that is left", async () => {
    const hub = await hubOf();
    await publish(hub, numbered(0, 10));
    const first = await openSource(hub);
    await first.acknowledge(await receiveAll(first, 4).then((all) => all.slice(0, 2)));
    await first.close();
    await server().truncate(hub, 0, 7);
    const second = await openSource(hub);
    expect(texts(await receiveAll(second, 3))).toEqual(numbered(7, 10));
    expect(lines).toMatchObject([{ event: expect.stringContaining("retention"), fields: { topic: hub, partition: "0", lost: 5 } }]);
  });

  test("reads a partition whose end lies before the checkpoint from its beginning, and logs it", async () => {
    const hub = await hubOf();
    await publish(hub, numbered(0, 3));
    await storage().open();
    await storage().write(groupOf(hub), "0", { offset: "100000", sequenceNumber: 500 });
    const source = await openSource(hub);
    const got = await receiveAll(source, 3);
    expect(texts(got)).toEqual(numbered(0, 3));
    expect(lines).toMatchObject([{ event: expect.stringContaining("ends before"), fields: { checkpoint: 500, last: 2 } }]);
    await source.acknowledge(got);
    expect(await checkpoints(hub)).toEqual({ 0: 2 });
  });

  test("of a hub that was made again while nobody read it reads the new one from its beginning, although that goes further", async () => {
    const hub = await hubOf(2);
    await publish(hub, numbered(0, 3), "0");
    const before = await openSource(hub);
    await before.acknowledge(await receiveAll(before, 3));
    await before.close();
    await server().deleteEntity(hub);
    await server().createEventHub(hub, { partitions: 2, consumerGroups: ["persistor"] });
    await publish(hub, numbered(10, 20), "0");
    const after = await openSource(hub);
    const got = await receiveAll(after, 10);
    expect(texts(got)).toEqual(numbered(10, 20));
    expect(lines).toMatchObject([{ event: expect.stringContaining("made again"), fields: { topic: hub } }]);
    await after.acknowledge(got.slice(0, 2));
    await after.close();
    expect(texts(await receiveAll(await openSource(hub), 8))).toEqual(numbered(12, 20));
  });

  test("of a hub that is made again while it is read reads the new one from its beginning, and settles nothing of the old", async () => {
    const hub = await hubOf();
    await publish(hub, numbered(0, 5));
    const source = await openSource(hub);
    const old = await receiveAll(source, 5);
    await source.acknowledge(old.slice(0, 4));
    await server().deleteEntity(hub);
    await server().createEventHub(hub, { partitions: 1, consumerGroups: ["persistor"] });
    await publish(hub, numbered(10, 30));
    const got: string[] = [];
    await eventually(async () => {
      const more = await source.receive({ maxMessages: 30, maxBytes: 1e6, maxWaitMs: 500 }).catch(() => []);
      got.push(...texts(more));
      await source.acknowledge(more);
      return got.length >= 20;
    }, 40_000);
    expect(got).toEqual(numbered(10, 30));
    expect(await source.acknowledge(old)).toBe(0);
    expect(await checkpoints(hub)).toEqual({ 0: 19 });
  });

  test("has all partitions once a receive of none returns, however many there are", async () => {
    const hub = await hubOf(40);
    const source = await openSource(hub);
    expect(await source.receive({ maxMessages: 0, maxBytes: 1, maxWaitMs: 2_000 })).toEqual([]);
    expect(await storage().listOwnership(groupOf(hub))).toHaveLength(40);
  });

  test("asks for no more messages than it has room for, however long it had few", async () => {
    const hub = await hubOf();
    const source = await openSource(hub);
    for (let i = 0; i < 15; i++) {
      await publish(hub, [`trickle ${i}`.padEnd(20_000)]);
      await source.acknowledge(await receiveAll(source, 1));
    }
    const decode = codec.decode;
    let arrived = 0;
    codec.decode = (bytes) => {
      arrived += bytes.length > 40_000 ? 1 : 0;
      return decode(bytes);
    };
    const { publisher } = await openBroker();
    const large = Array.from({ length: 900 }, (_, i) => messageOf("", { payload: Buffer.alloc(50_000, i) }));
    for (let i = 0; i < 900; i += 100) await publisher.publish(hub, large.slice(i, i + 100));
    await sleep(2_000);
    codec.decode = decode;
    expect(arrived).toBeGreaterThan(0);
    expect(arrived).toBeLessThan(900);
    expect(await receiveAll(source, 900)).toHaveLength(900);
  });
});
