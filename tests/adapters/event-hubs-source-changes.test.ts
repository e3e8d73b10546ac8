import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { EventHubConsumerClient } from "@azure/event-hubs";
import { describe, expect, test } from "vitest";
import type { Delivery, Source } from "../../shared/core/ports/source.ts";
import { messageOf } from "../contract/support-messages.ts";
import { connectionStringOf } from "../services/azurite.ts";
import type { EventHubsConsumerPlan } from "../services/event-hubs-consumer-child.ts";
import { startFaultProxy } from "../services/fault-proxy.ts";
import { startTcpGate } from "../services/tcp-gate.ts";
import { GROUP, useEventHubs } from "./support-event-hubs.ts";
import { eventually, freshTopic, numbered, receiveAll, texts } from "./support-sources.ts";

const CHILD = fileURLToPath(new URL("../services/event-hubs-consumer-child.ts", import.meta.url));
/** A consumer that died is missed after 15 seconds. */
const TAKEN_OVER_WITHIN_MS = 45_000;
const SOON_MS = 45_000;

describe("a source of Event Hubs whose group, hub or servers change", { timeout: 150_000 }, () => {
  const { server, azurite, settings, openBroker, openSource, hubOf, publish, checkpoints, storage, groupOf } = useEventHubs();

  const once500 = (source: Source) => source.receive({ maxMessages: 500, maxBytes: 10_000_000, maxWaitMs: 200 });
  /** Receives and acknowledges until told to stop. */
  const consume = (source: Source, seen: Map<string, number>, partitions = new Set<string>()) => {
    const stop = new AbortController();
    const work = async () => {
      while (!stop.signal.aborted) {
        const got = await once500(source).catch(() => []);
        for (const { message } of got) {
          seen.set(message.brokerMessageId, (seen.get(message.brokerMessageId) ?? 0) + 1);
          partitions.add(message.partition);
        }
        await source.acknowledge(got).catch(() => 0);
      }
    };
    const running = work();
    return {
      partitions,
      async stop() {
        stop.abort();
        await running;
      },
    };
  };
  const failureOf = (source: Source) =>
    source.receive({ maxMessages: 1, maxBytes: 1e6, maxWaitMs: SOON_MS }).then(
      () => undefined,
      (error: unknown) => error,
    );

  test("shares the partitions with another consumer of its group, gives them up when it leaves, and loses nothing", async () => {
    const hub = await hubOf(4);
    const { publisher } = await openBroker();
    const seen = new Map<string, number>();
    let published = 0;
    const wave = async () => {
      const messages = Array.from({ length: 40 }, (_, i) => ({ ...messageOf(`${published + i}`), toPartition: String(i % 4) }));
      expect((await publisher.publish(hub, messages)).every(({ ok }) => ok)).toBe(true);
      published += 40;
      await eventually(() => seen.size === published);
    };
    const first = await openSource(hub);
    const one = consume(first, seen);
    await wave();
    expect(one.partitions.size).toBe(4);
    const second = await openSource(hub);
    const two = consume(second, seen);
    await eventually(async () => {
      one.partitions.clear();
      two.partitions.clear();
      await wave();
      return one.partitions.size === 2 && two.partitions.size === 2;
    }, TAKEN_OVER_WITHIN_MS);
    await one.stop();
    await first.close();
    two.partitions.clear();
    await wave();
    await eventually(async () => {
      await wave();
      return two.partitions.size === 4;
    });
    await two.stop();
    const last = published / 4 - 1;
    expect(await checkpoints(hub)).toEqual({ 0: last, 1: last, 2: last, 3: last });
  });

  test("of a consumer that was killed takes over the partitions, and hands over all that it had not acknowledged", async () => {
    const hub = await hubOf(2);
    for (const partition of ["0", "1"]) await publish(hub, numbered(0, 100), partition);
    const plan: EventHubsConsumerPlan = { settings: settings(), hub, group: GROUP, keep: 1 };
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", CHILD, JSON.stringify(plan)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const [got, done] = [new Set<string>(), new Set<string>()];
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [what, id = ""] = line.split(" ");
      (what === "got" ? got : done).add(id);
    });
    await eventually(() => done.size >= 100);
    child.kill("SIGKILL");
    await once(child, "close");
    expect(got.size).toBeGreaterThan(done.size);
    const source = await openSource(hub);
    const again = new Map<string, number>();
    const consuming = consume(source, again);
    const all = () => new Set([...done, ...again.keys()]);
    await eventually(() => all().size === 200, TAKEN_OVER_WITHIN_MS);
    await consuming.stop();
    for (const id of got) if (!done.has(id)) expect(again.has(id)).toBe(true);
    expect(await checkpoints(hub)).toEqual({ 0: 99, 1: 99 });
  });

  test("of a partition that another consumer has taken settles nothing, and gets it back when that is gone", async () => {
    const hub = await hubOf(1);
    await publish(hub, numbered(0, 5));
    const source = await openSource(hub);
    const got = await receiveAll(source, 5);
    expect(await source.acknowledge(got.slice(0, 2))).toBe(2);
    const thief = new EventHubConsumerClient(GROUP, server().connectionString, hub);
    const stolen: unknown[] = [];
    const theft = thief.subscribe(
      "0",
      {
        processEvents: async (events) => void stolen.push(...events),
        processError: async () => undefined,
      },
      { ownerLevel: 7, startPosition: { offset: "-1" }, maxWaitTimeInSeconds: 1 },
    );
    await eventually(() => stolen.length === 5);
    await sleep(3_000);
    expect(await source.acknowledge(got.slice(2, 3))).toBe(0);
    expect(await checkpoints(hub)).toEqual({ 0: 1 });
    await theft.close();
    await thief.close();
    const again: Delivery[] = [];
    await eventually(async () => {
      again.push(...(await once500(source).catch(() => [])));
      return again.length >= 3;
    }, TAKEN_OVER_WITHIN_MS);
    expect(texts(again)).toEqual(numbered(2, 5));
    expect(await source.acknowledge(again)).toBe(3);
  });

  test("gets every message, whenever its connections are cut", async () => {
    const hub = await hubOf(2);
    const source = await openSource(hub);
    const seen = new Map<string, number>();
    const consuming = consume(source, seen);
    await publish(hub, ["first"], "0");
    await eventually(() => seen.size === 1);
    await server().beginOutage({ kind: "drop-connections", everyMs: 700, forMs: 4_000 });
    let published = 1;
    for (let i = 0; i < 20; i++) {
      await server().load(hub, [Buffer.from("005375a00161", "hex"), Buffer.from("005375a00162", "hex")]);
      published += 2;
      await sleep(200);
    }
    await eventually(() => seen.size === published, SOON_MS);
    await consuming.stop();
    const { 0: first = 0, 1: second = 0 } = await checkpoints(hub);
    expect(first + second + 2).toBe(published);
  });

  test("says that the service is away, and goes on soon after it is back", async () => {
    const hub = await hubOf(2);
    const source = await openSource(hub);
    await publish(hub, ["before"], "0");
    const [before] = await receiveAll(source, 1);
    await source.acknowledge([before as Delivery]);
    await server().beginOutage({ kind: "refuse-connections", forMs: 600_000 });
    expect(await failureOf(source)).toMatchObject({
      code: "broker_unavailable",
      retryable: true,
      message: expect.stringContaining("PERSISTOR_EVENT_HUBS"),
    });
    await server().clearFaults();
    await server().load(hub, [Buffer.from("005375a00161", "hex")], 1);
    const got: Delivery[] = [];
    await eventually(async () => {
      got.push(...(await once500(source).catch(() => [])));
      return got.length > 0;
    }, SOON_MS);
    expect(texts(got)).toEqual(["a"]);
    expect(await source.acknowledge(got)).toBe(1);
  });

  test("goes on after a time in which the service answered nothing", async () => {
    const hub = await hubOf(1);
    const source = await openSource(hub);
    const seen = new Map<string, number>();
    const consuming = consume(source, seen);
    await publish(hub, ["before"]);
    await eventually(() => seen.size === 1);
    await server().beginOutage({ kind: "be-silent", forMs: 20_000 });
    await sleep(20_500);
    await server().load(hub, [Buffer.from("005375a00161", "hex")]);
    await eventually(() => seen.size === 2, 30_000);
    await consuming.stop();
    expect(await checkpoints(hub)).toEqual({ 0: 1 });
  });

  test("comes to all partitions though claiming them takes longer than a consumer may be silent", async () => {
    const hub = await hubOf(15);
    const { account, key, origin } = azurite();
    const slow = await startFaultProxy(origin);
    slow.fail({ kind: "delay", delayMs: 400 });
    const storageOf = connectionStringOf({ account, key, url: `${slow.url}/${account}` });
    const source = await openSource(hub, {}, { storage: { connectionString: storageOf } });
    await source.receive({ maxMessages: 0, maxBytes: 1, maxWaitMs: 0 });
    const owners = (await storage().listOwnership(groupOf(hub))).map(({ ownerId }) => ownerId);
    expect(owners).toHaveLength(15);
    // Nobody began anew meanwhile.
    expect(new Set(owners).size).toBe(1);
    slow.fail(null);
    await source.close();
    await slow.close();
  });

  test("says that the storage of the checkpoints is away, and writes them once it is back", async () => {
    const hub = await hubOf(1);
    const gate = await startTcpGate(azurite().port);
    const { account, key } = azurite();
    const url = `http://127.0.0.1:${gate.port}/${account}`;
    await publish(hub, numbered(0, 3));
    const source = await openSource(hub, {}, { storage: { connectionString: connectionStringOf({ account, key, url }) } });
    const got = await receiveAll(source, 3);
    await gate.shut();
    await expect(source.acknowledge(got)).rejects.toMatchObject({
      code: "broker_unavailable",
      retryable: true,
      message: expect.stringContaining("PERSISTOR_AZURE_STORAGE"),
    });
    expect(await checkpoints(hub)).toEqual({});
    await gate.open();
    await eventually(async () => (await checkpoints(hub))[0] === 2, SOON_MS);
    await source.close();
    await gate.stop();
  });

  test("says soon what is missing or not allowed, naming it", async () => {
    const hub = await hubOf(1);
    const missing = freshTopic("nowhere");
    const wrongKey = (text: string) => text.replace(/(SharedAccessKey|AccountKey)=[^;]+/, `$1=${Buffer.alloc(32, 1).toString("base64")}`);
    const other = (await openBroker()).openSource({ id: hub, topic: hub, subscription: "other" });
    const failures = await Promise.all(
      [
        openSource(missing),
        other,
        openSource(hub, {}, { connectionString: wrongKey(server().connectionString) }),
        openSource(hub, {}, { storage: { connectionString: wrongKey(azurite().connectionString) } }),
      ].map(async (source) => failureOf(await source)),
    );
    expect(failures).toMatchObject([
      { code: "topic_missing", retryable: false, message: expect.stringMatching(new RegExp(`${missing}.*PERSISTOR_EVENT_HUBS`)) },
      { code: "topic_missing", retryable: false, message: expect.stringMatching(/group other.*consumer group/) },
      { code: "access_denied", retryable: false, message: expect.stringContaining("PERSISTOR_EVENT_HUBS") },
      { code: "access_denied", retryable: false, message: expect.stringContaining("PERSISTOR_AZURE_STORAGE") },
    ]);
  });

  test("goes on once the hub is there that was missing", async () => {
    const hub = freshTopic("later");
    const source = await openSource(hub);
    expect(await failureOf(source)).toMatchObject({ code: "topic_missing" });
    await server().createEventHub(hub, { partitions: 1, consumerGroups: [GROUP] });
    await publish(hub, ["m0"]);
    await eventually(async () => (await once500(source).catch(() => [])).length === 1, SOON_MS);
  });

  test("refuses what is no connection string, and a source without a storage account, telling no secret", async () => {
    const storage = { connectionString: "DefaultEndpointsProtocol=https;AccountKey=c2VjcmV0;nonsense" };
    const failures = await Promise.all([
      openBroker({ connectionString: "c2VjcmV0" }).catch((error: unknown) => error),
      openBroker({ fullyQualifiedNamespace: "name.servicebus.windows.net" }).catch((error: unknown) => error),
      openSource("orders", {}, { storage: undefined }).catch((error: unknown) => error),
      openSource("orders", {}, { storage }).catch((error: unknown) => error),
    ]);
    expect(failures).toMatchObject(Array.from({ length: 4 }, () => ({ code: "settings_invalid" })));
    expect(failures.map(String).join()).not.toContain("c2VjcmV0");
    await expect(openSource("orders", { start: "yesterday" })).rejects.toMatchObject({ code: "settings_invalid" });
    await expect((await openBroker()).openSource({ id: "x", topic: "orders", subscription: "x".repeat(51) })).rejects.toMatchObject({
      code: "refused",
      message: expect.stringContaining("source.subscription"),
    });
  });
});
