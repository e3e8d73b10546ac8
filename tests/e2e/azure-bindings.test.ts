import { ServiceBusClient } from "@azure/service-bus";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { messageOf as messageOfBytes } from "../../shared/adapters/brokers/service-bus/message.ts";
import { type MessageContent, stringAttribute } from "../../shared/core/message.ts";
import { comparable } from "../contract/support-messages.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { type AzureCloud, azureCloudMissing, startAzureCloud } from "../services/azure-cloud.ts";
import { ensureBundles } from "../services/bundles.ts";
import { type Partitioning, startPartitioning } from "../services/service-bus-partitioning.ts";
import { audited, call, countOf, indexed, pipelineOf, resubmitted, stored, until } from "./support-azure.ts";
import { drain, endedRuns, proxiedStorage, QUICK } from "./support-azure-brokers.ts";
import { classicSet } from "./support-azure-classic.ts";
import { deadLetterAll, nastySet, seenBySdk, sendAll } from "./support-azure-nasty.ts";

const SESSIONS = ["123", "null", "1e3", "a session"];
const KINDS = {
  topic: {},
  queue: { entity: "queue" },
  sessions: { entity: "queue", sessions: true },
  dead: { entity: "queue", deadLetterQueue: true },
} as const;
type Kind = keyof typeof KINDS;
const entityOf = (binding: string, kind: Kind) =>
  `${binding}-${kind}${{ topic: "/Subscriptions/archive", queue: "", sessions: "", dead: "/$DeadLetterQueue" }[kind]}`;
const KIND_NAMES = Object.keys(KINDS) as Kind[];
/** From here on a number of JavaScript does not hold its sequence numbers. */
const PARTITION = 2 ** 53 / 2 ** 48 + 8;
const NO_BYTES = new Uint8Array(0);
const EXACT = ["sdk", "drain"] as const;

describeWhere(azureCloudMissing(), "the bindings of Service Bus", () => {
  const host = { timers: false, longs: "number" as "number" | "object" };
  const storage = proxiedStorage();
  let cloud: AzureCloud;
  let partitioning: Partitioning;
  let client: ServiceBusClient;

  beforeAll(async () => {
    await ensureBundles();
    const pipeline = (name: string, more: object) =>
      [name, pipelineOf({ broker: "service-bus", topic: name, subscription: "archive", ...more }, name)] as const;
    const bound = ["sdk", "drain", "classic"].flatMap((binding) =>
      KIND_NAMES.map((kind) => pipeline(`${binding}-${kind}`, { ...KINDS[kind], binding })),
    );
    const again = EXACT.map((binding) => pipeline(`again-${binding}`, { binding }));
    const others = [
      pipeline("classic-refused", { entity: "queue", binding: "classic" }),
      pipeline("poisoned", { binding: "classic" }),
      pipeline("poisoned-dead", { topic: "poisoned", id: "poisoned-dead", deadLetterQueue: true }),
    ];
    cloud = await startAzureCloud({
      pipelines: Object.fromEntries([...bound, ...again, ...others]),
      destinations: Object.fromEntries(EXACT.map((binding) => [`again-${binding}`, { broker: "service-bus", topic: `again-${binding}` }])),
      environment: QUICK,
      entity: { maxDeliveryCount: 10 },
      ...storage.option,
      host,
      async serviceBus(server) {
        partitioning = await startPartitioning(server);
        return partitioning.connectionString;
      },
    });
    client = new ServiceBusClient(cloud.serviceBus.connectionString);
    await cloud.serviceBus.createQueue("as-sent");
  }, 180_000);
  afterEach(() => storage.allow());
  afterAll(async () => {
    await client?.close();
    await cloud?.stop();
    await partitioning?.stop();
    await storage.close();
  });

  /** Brings a set to where a pipeline reads; returns how many there are. */
  const send = async (entity: string, kind: Kind, options: { others: boolean }) => {
    const set = nastySet({ ...options, ...(kind === "sessions" && { sessions: SESSIONS }) });
    await sendAll(client, entity, set.sent);
    await cloud.serviceBus.load(entity, set.encoded);
    if (kind === "dead") await deadLetterAll(client, entity, set.count);
    return set.count;
  };
  /** What a bare receiver of the SDK sees of such a set. */
  const asSent = async (kind: Kind) => {
    const set = nastySet(kind === "sessions" ? { others: true, sessions: SESSIONS } : { others: true });
    await sendAll(client, "as-sent", set.sent);
    await cloud.serviceBus.load("as-sent", set.encoded);
    return seenBySdk(client, set.count, "as-sent");
  };
  const contents = async (name: string) => (await stored(cloud, `raw/${name}/`)).map(({ message }) => message);
  const texts = (messages: readonly MessageContent[]) => messages.map((message) => JSON.stringify(comparable(message))).sort();
  /** Waits until so many of a pipeline are stored and indexed, running its timer where it has one. */
  const arrived = async (name: string, count: number, isDrained: boolean) => {
    if (isDrained) await drain(cloud, name, `raw/${name}/`, count);
    await indexed(cloud, name, count);
    expect(await audited(cloud, name)).toMatchObject({ records: count, index_records: count, duplicates: 0, missing_in_index: 0 });
    return contents(name);
  };

  test.each(EXACT)(
    "%s keeps every message exactly, of topics, queues, sessions and dead-letter queues, through a resubmission and another archive",
    async (binding) => {
      const isDrained = binding === "drain";
      const again = `again-${binding}`;
      const firsts = KIND_NAMES.map(async (kind) => {
        const count = await send(`${binding}-${kind}`, kind, { others: true });
        return { kind, count, found: await arrived(`${binding}-${kind}`, count, isDrained) };
      });
      const all: MessageContent[] = [];
      for (const { kind, count, found } of await Promise.all(firsts)) {
        all.push(...found);
        for (const { brokerMessageId, sequence } of found) expect([kind, brokerMessageId]).toEqual([kind, String(sequence)]);
        const { status, summary } = await resubmitted(cloud, `range/${binding}-${kind}?topic=${again}`, {
          broker_id: `${binding}-${kind}`,
        });
        await until(`the settlement of ${kind}`, async () => (await cloud.serviceBus.counts(entityOf(binding, kind))).completed === count);
        expect([kind, status, summary]).toEqual([kind, 200, expect.objectContaining({ published_count: count, verified_count: count })]);
        expect([kind, await seenBySdk(client, count, again, "check")]).toEqual([kind, await asSent(kind)]);
      }
      expect(texts(await arrived(again, all.length, isDrained))).toEqual(texts(all));
    },
    120_000,
  );

  test("classic loses what its settings say, of topics, queues, sessions and dead-letter queues, and nothing else", async () => {
    const firsts = KIND_NAMES.map(async (kind) => {
      const count = await send(`classic-${kind}`, kind, { others: false });
      return { kind, found: await arrived(`classic-${kind}`, count, false) };
    });
    for (const { kind, found } of await Promise.all(firsts)) {
      expect([kind, texts(found)]).toEqual([kind, texts(classicSet(kind === "sessions" ? SESSIONS : undefined))]);
      for (const { brokerMessageId, sequence } of found) expect([kind, brokerMessageId]).toEqual([kind, String(sequence)]);
    }
  }, 120_000);

  test("what classic can never take, and all that comes with it, is stored exactly from the broker's dead-letter queue", async () => {
    const set = nastySet({ others: true });
    await cloud.serviceBus.load("poisoned", set.encoded);
    await indexed(cloud, "poisoned-dead", set.encoded.length);
    const found = await contents("poisoned");
    const reason = [
      stringAttribute("DeadLetterReason", "MaxDeliveryCountExceeded"),
      stringAttribute("DeadLetterErrorDescription", expect.any(String) as unknown as string),
    ];
    const wanted = set.encoded.map((bytes) => messageOfBytes(bytes, { id: "", topic: "" }).message);
    const byId = (messages: readonly MessageContent[]) =>
      new Map(messages.map((message) => [JSON.stringify(comparable({ ...message, payload: NO_BYTES, attributes: [] })), message]));
    const storedById = byId(found);
    expect(storedById.size).toBe(set.encoded.length);
    for (const [key, { payload, attributes }] of byId(wanted)) {
      expect(storedById.get(key)).toMatchObject({ payload: Buffer.from(payload), attributes: [...attributes, ...reason] });
    }
    expect(await countOf(cloud, "poisoned")).toBe(0);
  }, 120_000);

  test("a classic batch that storage refuses, or whose worker is killed, is given back whole and comes again", async () => {
    const name = "classic-refused";
    const failed = () => endedRuns(cloud, `persist-${name}`).failed;
    const bodies = Array.from({ length: 20 }, (_, i) => `refused ${i}`);
    storage.refuse();
    await sendAll(
      client,
      name,
      bodies.map((body, i) => ({ body: Buffer.from(body), messageId: `id ${i}` })),
    );
    await until("a failed batch", () => failed() >= 1);
    await cloud.host.killWorker();
    await until("another", () => failed() >= 2);
    expect(await contents(name)).toEqual([]);
    storage.allow();
    const found = await arrived(name, bodies.length, false);
    expect(found.map(({ payload }) => Buffer.from(payload).toString()).sort()).toEqual(bodies.toSorted());
    await until("the end of the batch", async () => (await cloud.serviceBus.counts(name)).completed === bodies.length);
    expect(await cloud.serviceBus.counts(`${name}/$DeadLetterQueue`)).toMatchObject({ active: 0 });
  }, 120_000);

  test("sequence numbers above 2^53 are exact with sdk, and with classic kept apart, or exact where the worker gets them whole", async () => {
    const numbered = async (queue: string, text: string) => {
      const bodies = Array.from({ length: 6 }, (_, i) => `${text} ${i}`);
      await sendAll(
        client,
        queue,
        bodies.map((body, i) => ({ body: Buffer.from(body), messageId: `id-${i}` })),
      );
      const found = async () => (await contents(queue)).filter(({ payload }) => Buffer.from(payload).toString().startsWith(text));
      await until(`${queue} to have ${text}`, async () => (await found()).length === bodies.length);
      const ids = (await found()).map(({ brokerMessageId, sequence }) => ({ brokerMessageId, sequence }));
      await until(`the index of ${queue} to have ${text}`, async () => {
        const unique = ids.map(({ brokerMessageId }) => `${queue}_${brokerMessageId}`);
        const { body } = await call(cloud, "POST", `/api/indexer/query/${queue}`, { filters: [{ unique_id: { $in: unique } }] });
        return body.messages.length === bodies.length;
      });
      return ids;
    };
    const expectExact = (ids: Awaited<ReturnType<typeof numbered>>) => {
      expect(ids.map(({ sequence }) => sequence >> 48n)).toEqual(ids.map(() => BigInt(PARTITION)));
      expect(new Set(ids.map(({ sequence }) => sequence)).size).toBe(ids.length);
      expect(ids.map(({ brokerMessageId }) => brokerMessageId)).toEqual(ids.map(({ sequence }) => String(sequence)));
    };
    partitioning.partition = PARTITION;
    expectExact(await numbered("sdk-queue", "exact"));
    const rounded = await numbered("classic-queue", "rounded");
    expect(rounded.map(({ sequence }) => sequence)).toEqual(rounded.map(() => -1n));
    expect(rounded.map(({ brokerMessageId }) => brokerMessageId.replace(/^\d+~/, "")).sort()).toEqual(rounded.map((_, i) => `id-${i}`));

    await cloud.host.terminate();
    host.longs = "object";
    await cloud.startHost();
    expectExact(await numbered("classic-queue", "whole"));
  }, 120_000);
});
