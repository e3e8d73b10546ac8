import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { binaryAttribute, type MessageContent, nullAttribute, stringAttribute } from "../../shared/core/message.ts";
import { comparable, messageOf } from "../contract/support-messages.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { type AzureCloud, azureCloudMissing, startAzureCloud } from "../services/azure-cloud.ts";
import { ensureBundles } from "../services/bundles.ts";
import { type KafkaBroker, kafkaBrokerMissing, startKafkaBroker } from "../services/kafka-broker.ts";
import { countOf, indexed, pipelineOf, stored, until } from "./support-azure.ts";
import {
  drain,
  endedRuns,
  expectEachOnce,
  expectWhole,
  flights,
  passedByGroup,
  proxiedStorage,
  publishTo,
  QUICK,
  runTimer,
  storedIds,
} from "./support-azure-brokers.ts";

const FLIGHTS = Number(process.env.FLIGHTS ?? 100_000);
const DRAINED_FLIGHTS = FLIGHTS / 5;
const PARTITIONS = 16;
const FEW = 4;
const KILLED = 10_000;
const BEFORE = 2_000;
const REFUSED = 2_000;
/** Each makes the platform wait longer before it tries again. */
const KILLS = 2;
const DRAINED = ["killed", "held"];
const OTHERS = [...DRAINED, "refused", "kinds", "compacted"];
const HELD = "holding messages that cannot be given back";

describeWhere(azureCloudMissing() ?? kafkaBrokerMissing(), "the function app on Kafka", () => {
  const storage = proxiedStorage();
  /** How often a function said that it holds messages. */
  let holds = 0;
  let cloud: AzureCloud;
  let kafka: KafkaBroker;
  let digests: string[];

  beforeAll(async () => {
    kafka = await startKafkaBroker({ settings: { "group.min.session.timeout.ms": "1000", "group.initial.rebalance.delay.ms": "0" } });
    await ensureBundles();
    for (const topic of ["flights", "drained"]) await kafka.createTopic(topic, { partitions: PARTITIONS });
    for (const topic of OTHERS) await kafka.createTopic(topic, { partitions: FEW });
    const pipeline = (name: string, topic: string, more: object) => ({
      ...pipelineOf({ broker: "kafka", topic, subscription: name, id: name, ...more }, name),
      store: { kind: "azure-blob", container: "lake", prefix: name, path: "{topic}/{partition}" },
    });
    const others = OTHERS.map((name) => [name, pipeline(name, name, { binding: DRAINED.includes(name) ? "drain" : "classic" })]);
    cloud = await startAzureCloud({
      pipelines: {
        drained: pipeline("drained", "drained", {}),
        classic: pipeline("classic", "flights", { binding: "classic" }),
        ...Object.fromEntries(others),
      },
      environment: {
        ...QUICK,
        // The host's consumers run in this process, which also reads all that was stored.
        AzureFunctionsJobHost__extensions__kafka__sessionTimeoutMs: "30000",
        PERSISTOR_KAFKA: JSON.stringify({ brokers: [kafka.host] }),
      },
      host: {
        timers: false,
        onLine: (line) => {
          if (line.includes(HELD)) holds++;
        },
      },
      ...storage.option,
    });
    digests = await publishTo(cloud, "kafka", "flights", flights(FLIGHTS));
  }, 180_000);
  afterEach(() => storage.allow());
  afterAll(async () => {
    await cloud?.stop();
    await kafka?.stop();
    await storage.close();
  });

  const publish = (topic: string, contents: readonly MessageContent[]) => publishTo(cloud, "kafka", topic, contents);
  const partitionsOf = async (name: string) => new Set((await stored(cloud, `${name}/`)).map(({ message }) => message.partition)).size;

  test("stores and indexes each of 100,000 flights of 16 partitions once by the trigger, unaltered", async () => {
    await expectEachOnce(cloud, "classic", "classic/", digests);
    expect(await partitionsOf("classic")).toBe(PARTITIONS);
  }, 300_000);

  test("registers a trigger or a timer for each pipeline, as its binding says", () => {
    const names = cloud.host.functions.map(({ type, name, error }) => `${type} ${name} ${error ?? ""}`.trim());
    expect(names).toEqual(expect.arrayContaining(["kafkaTrigger persist-classic", "timerTrigger persist-drained"]));
    expect(cloud.host.output()).toContain("a Kafka trigger makes text of keys and stops at records without a value");
  });

  test("drains 20,000 flights of 16 partitions by a timer, each stored and indexed once, unaltered", async () => {
    const sent = await publish("drained", flights(DRAINED_FLIGHTS));
    await drain(cloud, "drained", "drained/", DRAINED_FLIGHTS);
    await expectEachOnce(cloud, "drained", "drained/", sent);
    expect(await partitionsOf("drained")).toBe(PARTITIONS);
  }, 300_000);

  test("loses nothing of a drain whose worker is killed: the next runs go on", async () => {
    const sent = await publish("killed", flights(KILLED));
    storage.holdAfterOne();
    await runTimer(cloud, "persist-killed");
    await until("the first object, and another under way", async () => (await stored(cloud, "killed/")).length > 0 && storage.held() > 0);
    await cloud.host.killWorker();
    storage.allow();
    await until("the end of the run that was killed", () => endedRuns(cloud, "persist-killed").failed === 1);
    await drain(cloud, "killed", "killed/", KILLED);
    await expectWhole(cloud, "killed", "killed/", sent);
  }, 120_000);

  test("leaves what storage refuses to the next drains", async () => {
    const nonePassed = async () => expect(await passedByGroup(kafka.host, "held", "held", "held", FEW)).toEqual([]);
    storage.refuse();
    const sent = await publish("held", flights(REFUSED));
    for (const runs of [1, 2]) {
      await runTimer(cloud, "persist-held");
      await until(`the end of run ${runs}`, () => endedRuns(cloud, "persist-held").succeeded === runs);
      await nonePassed();
    }
    expect(storage.refused()).toBeGreaterThan(0);
    storage.allow();
    await drain(cloud, "held", "held/", REFUSED);
    await expectWhole(cloud, "held", "held/", sent);
  }, 120_000);

  test("commits nothing that is not stored, however often a batch fails, while storage refuses and worker and host are killed", async () => {
    const expectNonePassed = async () => {
      const [ids, passed] = [await storedIds(cloud, "refused/"), await passedByGroup(kafka.host, "refused", "refused", "refused", FEW)];
      expect(passed.filter((id) => !ids.has(id))).toEqual([]);
      return passed.length;
    };
    const sent = await publish("refused", flights(BEFORE));
    await indexed(cloud, "refused", BEFORE);
    await until("the commit of what is stored", async () => (await expectNonePassed()) === BEFORE);

    storage.refuse();
    sent.push(...(await publish("refused", flights(REFUSED, BEFORE))));
    const refusedMore = async (what: string) => {
      const before = storage.refused();
      await until(`more refusals ${what}`, () => storage.refused() > before + 5);
    };
    await until("messages that are held", () => holds > 0);
    for (let kills = 1; kills <= KILLS; kills++) {
      await cloud.host.killWorker();
      await until(`failure ${kills}`, () => endedRuns(cloud, "persist-refused").failed >= kills);
      await refusedMore(`after failure ${kills}`);
    }
    expect(await expectNonePassed()).toBe(BEFORE);
    await cloud.host.stop();
    expect(await expectNonePassed()).toBe(BEFORE);
    await cloud.startHost();
    await refusedMore("of another host");
    await cloud.host.terminate(2_000);
    expect(await expectNonePassed()).toBe(BEFORE);

    await cloud.startHost();
    await refusedMore("of the last host");
    storage.allow();
    await expectWhole(cloud, "refused", "refused/", sent);
    expect(await countOf(cloud, "dead-letter")).toBe(0);
  }, 180_000);

  test("asks the Kafka extension itself, too, to try a failed batch for ever and never to commit it", () => {
    const { kafka: options } = JSON.parse(readFileSync(new URL("../../dist/azure/host.json", import.meta.url), "utf8")).extensions;
    expect(options).toMatchObject({ commitOnFailure: false, maxRetries: -1 });
  });

  test("keeps, by the trigger, all of a record but keys that are no text and the difference between no key and an empty one", async () => {
    const bytes = Buffer.from("00ff7b80", "hex");
    const attributes = [
      stringAttribute("Kind", "upper"),
      stringAttribute("kind", "lower"),
      stringAttribute("kind", "again"),
      stringAttribute("number", "1e3"),
      stringAttribute("empty", ""),
      nullAttribute("null"),
      binaryAttribute("binary", bytes),
    ];
    const kept = [
      messageOf("123", { attributes, key: Buffer.from("123") }),
      messageOf("null", { key: Buffer.from("null") }),
      messageOf("", { key: Buffer.from("1e3") }),
      messageOf("no utf-8", { payload: bytes }),
    ];
    const changed = [messageOf("an empty key", { key: Buffer.alloc(0) }), messageOf("a binary key", { key: bytes })];
    await publish("kinds", [...kept, ...changed]);
    await indexed(cloud, "kinds", 6);
    const found = (await stored(cloud, "kinds/")).map(({ message }) => message);
    const lossyKey = Buffer.from(bytes.toString("utf8"));
    const wanted = [...kept, { ...changed[0], key: null }, { ...changed[1], key: lossyKey }] as MessageContent[];
    const inOrder = (contents: readonly MessageContent[]) => contents.map((content) => JSON.stringify(comparable(content))).sort();
    expect(inOrder(found)).toEqual(inOrder(wanted));
  });

  test("holds, by the trigger, a record without a value and what comes with it; drained instead, all of it is stored from there on", async () => {
    const key = Buffer.from("key");
    const tombstone = messageOf("", { payloadKind: "null", key });
    const sent = await publish("compacted", [messageOf("before", { key }), tombstone, messageOf("behind", { key })]);
    await until("the trigger to fail and to try again", () => endedRuns(cloud, "persist-compacted").failed > 1);
    expect(cloud.host.output()).toContain(
      "1 of 3 records have no value, which it cannot tell apart from others; set source.binding to drain",
    );
    await cloud.host.stop();
    const pipelines = JSON.parse(cloud.environment["PERSISTOR_PIPELINES"] as string);
    pipelines.compacted.source.binding = "drain";
    Object.assign(cloud.environment, { PERSISTOR_PIPELINES: JSON.stringify(pipelines) });
    await cloud.startHost();
    await drain(cloud, "compacted", "compacted/", sent.length);
    await expectWhole(cloud, "compacted", "compacted/", sent);
  }, 120_000);
});
