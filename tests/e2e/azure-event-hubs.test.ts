import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import {
  type Attribute,
  binaryAttribute,
  booleanAttribute,
  doubleAttribute,
  longAttribute,
  type MessageContent,
  nullAttribute,
  stringAttribute,
  timestampAttribute,
} from "../../shared/core/message.ts";
import { comparable, messageOf } from "../contract/support-messages.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { type AzureCloud, azureCloudMissing, startAzureCloud } from "../services/azure-cloud.ts";
import { ensureBundles } from "../services/bundles.ts";
import { countOf, indexed, pipelineOf, stored, until } from "./support-azure.ts";
import {
  drain,
  endedRuns,
  expectEachOnce,
  expectWhole,
  flights,
  passedByTrigger,
  proxiedStorage,
  publishTo,
  QUICK,
  runTimer,
  storedIds,
} from "./support-azure-brokers.ts";

const DRAINED = Number(process.env.FLIGHTS ?? 100_000);
const CLASSIC = DRAINED / 5;
const KILLED = 10_000;
const BEFORE = 2_000;
const REFUSED = 2_000;
const PARTITIONS = 4;
const GROUP = "archive";
const NAMES = {
  drain: ["drained", "drained-killed"],
  classic: ["classic", "classic-killed", "classic-refused", "classic-kinds", "classic-value"],
};
const HELD = "holding messages that cannot be given back";

describeWhere(azureCloudMissing(), "the function app on Event Hubs", () => {
  const storage = proxiedStorage();
  /** How often a function said that it holds messages. */
  let holds = 0;
  let cloud: AzureCloud;

  beforeAll(async () => {
    await ensureBundles();
    const pipelines = Object.entries(NAMES).flatMap(([binding, names]) =>
      names.map((name) => [name, pipelineOf({ broker: "event-hubs", topic: name, subscription: GROUP, binding }, name)]),
    );
    cloud = await startAzureCloud({
      pipelines: Object.fromEntries(pipelines),
      partitions: PARTITIONS,
      environment: QUICK,
      host: {
        timers: false,
        onLine: (line) => {
          if (line.includes(HELD)) holds++;
        },
      },
      ...storage.option,
    });
  }, 180_000);
  afterEach(() => storage.allow());
  afterAll(async () => {
    await cloud?.stop();
    await storage.close();
  });

  const publish = (hub: string, contents: readonly MessageContent[]) => publishTo(cloud, "event-hubs", hub, contents);
  const folder = (name: string) => `raw/${name}/`;
  const partitionsOf = async (name: string) => new Set((await stored(cloud, folder(name))).map(({ message }) => message.partition)).size;

  test("drains 100,000 flights of 4 partitions by a timer, each stored and indexed once, unaltered", async () => {
    const digests = await publish("drained", flights(DRAINED));
    await drain(cloud, "drained", folder("drained"), DRAINED);
    await expectEachOnce(cloud, "drained", folder("drained"), digests);
    expect(await partitionsOf("drained")).toBe(PARTITIONS);
  }, 300_000);

  test("stores and indexes each of 20,000 flights of 4 partitions once by the trigger, unaltered", async () => {
    const digests = await publish("classic", flights(CLASSIC));
    await expectEachOnce(cloud, "classic", folder("classic"), digests);
    expect(await partitionsOf("classic")).toBe(PARTITIONS);
  }, 300_000);

  test("loses nothing of a drain whose worker is killed: the next runs go on", async () => {
    const digests = await publish("drained-killed", flights(KILLED));
    storage.holdAfterOne();
    await runTimer(cloud, "persist-drained-killed");
    await until(
      "the first object, and another under way",
      async () => (await stored(cloud, folder("drained-killed"))).length > 0 && storage.held() > 0,
    );
    await cloud.host.killWorker();
    storage.allow();
    await until("the end of the run that was killed", () => endedRuns(cloud, "persist-drained-killed").failed === 1);
    await drain(cloud, "drained-killed", folder("drained-killed"), KILLED);
    await expectWhole(cloud, "drained-killed", folder("drained-killed"), digests);
  }, 120_000);

  test("loses nothing of what the trigger gave to a worker that is killed: it gives it again", async () => {
    const digests = await publish("classic-killed", flights(KILLED));
    await until("the first batches", () => (cloud.host.invocations()["persist-classic-killed"]?.started ?? 0) > 0);
    await cloud.host.killWorker();
    await expectWhole(cloud, "classic-killed", folder("classic-killed"), digests);
    expect(endedRuns(cloud, "persist-classic-killed").failed).toBeGreaterThan(0);
  }, 120_000);

  test("lets no checkpoint pass what is not stored, while storage refuses and worker and host are killed", async () => {
    const name = "classic-refused";
    const expectNonePassed = async () => {
      const [ids, passed] = [await storedIds(cloud, folder(name)), await passedByTrigger(cloud, name, GROUP)];
      expect(passed.filter((id) => !ids.has(id))).toEqual([]);
      return passed.length;
    };
    const digests = await publish(name, flights(BEFORE));
    await indexed(cloud, name, BEFORE);
    await until("the checkpoints of what is stored", async () => (await expectNonePassed()) > 0);

    storage.refuse();
    digests.push(...(await publish(name, flights(REFUSED, BEFORE))));
    const refusedMore = async (what: string) => {
      const before = storage.refused();
      await until(`more refusals ${what}`, () => storage.refused() > before + 10);
    };
    await until("messages that are held", () => holds > 0);
    await cloud.host.killWorker();
    await refusedMore("of another worker");
    await cloud.host.stop();
    await expectNonePassed();
    await cloud.startHost();
    await refusedMore("of another host");
    await cloud.host.terminate(2_000);
    await expectNonePassed();
    expect(await storedIds(cloud, folder(name))).toHaveProperty("size", BEFORE);

    await cloud.startHost();
    await refusedMore("of the last host");
    storage.allow();
    await expectWhole(cloud, name, folder(name), digests);
    expect(await countOf(cloud, "dead-letter")).toBe(0);
  }, 120_000);

  test("keeps, by the trigger, payloads, texts and the ordering key of an event, and of everything else what JSON makes of it", async () => {
    const amqp = (name: string, kind: string, hex: string): Attribute => ({ name, kind: `amqp:${kind}`, value: Buffer.from(hex, "hex") });
    const bytes = Buffer.from("00ff7b80", "hex");
    const ordered = { orderingKey: "one partition" };
    await publish("classic-kinds", [
      messageOf("kinds", {
        ...ordered,
        attributes: [
          stringAttribute("Kind", "upper"),
          stringAttribute("kind", "lower"),
          stringAttribute("number", "1e3"),
          stringAttribute("nothing", "null"),
          stringAttribute("empty", ""),
          nullAttribute("null"),
          booleanAttribute("yes", true),
          longAttribute("long", 7n),
          longAttribute("large", 2n ** 53n + 1n),
          doubleAttribute("double", 1.5),
          doubleAttribute("whole", 2),
          amqp("float", "float", "3f800000"),
          amqp("ubyte", "ubyte", "ff"),
          amqp("ulong", "ulong", "ffffffffffffffff"),
          amqp("symbol", "symbol", "73796d"),
          amqp("uuid", "uuid", "07".repeat(16)),
          timestampAttribute("time", 1_700_000_000_000n),
          binaryAttribute("binary", bytes),
        ],
      }),
      messageOf("", {
        ...ordered,
        payload: bytes,
        contentType: "1e3",
        system: [
          stringAttribute("amqp:message-id", "1e3"),
          binaryAttribute("amqp:user-id", bytes),
          stringAttribute("amqp:subject", "null"),
          longAttribute("amqp:correlation-id", 5n),
          amqp("amqp:content-encoding", "symbol", "67"),
          stringAttribute("amqp:reply-to-group-id", "12345678901234567890"),
          stringAttribute("amqp:annotation:iothub-connection-device-id", "0123"),
          longAttribute("amqp:annotation:x-own", 3n),
        ],
      }),
      messageOf("123", ordered),
      messageOf("", ordered),
      messageOf("null", { orderingKey: "1e3" }),
      messageOf("{}", { orderingKey: "null" }),
    ]);
    await indexed(cloud, "classic-kinds", 6);
    const found = (await stored(cloud, folder("classic-kinds"))).map(({ message }) => message);
    const [kinds, fields, number, nothing] = found
      .filter(({ orderingKey }) => orderingKey === ordered.orderingKey)
      .sort((a, b) => Number(a.sequence - b.sequence))
      .map(comparable);
    expect(kinds).toEqual(
      comparable(
        messageOf("kinds", {
          ...ordered,
          attributes: [
            stringAttribute("kind", "lower"),
            stringAttribute("number", "1e3"),
            stringAttribute("nothing", "null"),
            stringAttribute("empty", ""),
            nullAttribute("null"),
            booleanAttribute("yes", true),
            longAttribute("long", 7n),
            doubleAttribute("large", 2 ** 53),
            doubleAttribute("double", 1.5),
            longAttribute("whole", 2n),
            longAttribute("float", 1n),
            longAttribute("ubyte", 255n),
            doubleAttribute("ulong", 2 ** 64),
            stringAttribute("symbol", "sym"),
            stringAttribute("uuid", "07070707-0707-0707-0707-070707070707"),
            stringAttribute("time", "2023-11-14T22:13:20Z"),
            stringAttribute("binary", bytes.toString("base64")),
          ],
        }),
      ),
    );
    expect(fields).toEqual(
      comparable(
        messageOf("", {
          ...ordered,
          payload: bytes,
          contentType: "1e3",
          system: [
            stringAttribute("amqp:message-id", "1e3"),
            stringAttribute("amqp:subject", "null"),
            stringAttribute("amqp:correlation-id", "5"),
            stringAttribute("amqp:reply-to-group-id", "12345678901234567890"),
            stringAttribute("amqp:annotation:iothub-connection-device-id", "0123"),
            longAttribute("amqp:annotation:x-own", 3n),
          ],
        }),
      ),
    );
    expect([number, nothing]).toEqual([comparable(messageOf("123", ordered)), comparable(messageOf("", ordered))]);
    const others = found
      .filter(({ orderingKey }) => orderingKey !== ordered.orderingKey)
      .map(({ orderingKey, payload }) => [orderingKey, Buffer.from(payload).toString()]);
    expect(others.sort()).toEqual([
      ["1e3", "null"],
      ["null", "{}"],
    ]);
  });

  test("holds, by the trigger, an event without bytes and what comes with it; drained instead, all of it is stored", async () => {
    const name = "classic-value";
    const value = messageOf("", { payloadKind: "amqp-value", payload: Buffer.from("a10161", "hex"), orderingKey: "key" });
    const digests = await publish(name, [messageOf("before", { orderingKey: "key" }), value, messageOf("behind", { orderingKey: "key" })]);
    // The platform makes no bytes of an AMQP value, and fails before it calls the function.
    await until("the platform to fail and to try again", () => endedRuns(cloud, `persist-${name}`).failed > 1);
    await cloud.host.stop();
    const pipelines = JSON.parse(cloud.environment["PERSISTOR_PIPELINES"] as string);
    pipelines[name].source.binding = "drain";
    Object.assign(cloud.environment, { PERSISTOR_PIPELINES: JSON.stringify(pipelines) });
    await cloud.startHost();
    await drain(cloud, name, folder(name), digests.length);
    await expectWhole(cloud, name, folder(name), digests);
  }, 120_000);
});
