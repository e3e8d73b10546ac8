import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { open as openBroker } from "../../shared/adapters/brokers/embedded/adapter.ts";
import { BrokerError, IndexError, StoreError } from "../../shared/core/errors.ts";
import { stringAttribute } from "../../shared/core/message.ts";
import type { PublishOutcome } from "../../shared/core/ports/publisher.ts";
import type { Composition, PortWrappers } from "../../shared/runtime/compose.ts";
import { mountSmallDisk } from "../contract/support-disk.ts";
import { type Fault, fault, type Local, messagesOf, openLocal, pipelineOf, textContent, until } from "./support-local.ts";

const COUNT = 300;
/** More than the retries within one delivery, so that deliveries are released. */
const FAULTS_BEFORE_MEND = 6;
/** The indexer does not retry within a delivery: each of these is a release, and each waits longer. */
const INDEX_FAULTS_BEFORE_MEND = 3;

const contents = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) =>
    textContent(`message ${from + i}`, { attributes: [stringAttribute("number", String(from + i))] }),
  );

const storeDown = () => new StoreError("store_unavailable", "writing an object: the test refuses it", { retryable: true });
const brokerDown = () => new BrokerError("broker_unavailable", "publishing: the test refuses it", { retryable: true });
const indexDown = () => new IndexError("index_unavailable", "writing records: the test refuses it", { retryable: true });

type Call<A extends unknown[], R> = (...args: A) => Promise<R>;

/** The call, failing instead while the fault is on. */
const failingBefore =
  <A extends unknown[], R>(down: Fault, error: () => Error, call: Call<A, R>): Call<A, R> =>
  async (...args) => {
    down.strike(error);
    return call(...args);
  };

/** The call, failing once its work is done while the fault is on. */
const failingAfter =
  <A extends unknown[], R>(down: Fault, error: () => Error, call: Call<A, R>): Call<A, R> =>
  async (...args) => {
    const result = await call(...args);
    down.strike(error);
    return result;
  };

/** A publisher of which one topic cannot be reached. */
const withoutTopic = (down: Fault, topic: string): PortWrappers => ({
  publisher: (publisher) => ({
    ...publisher,
    publish: (to, messages) =>
      to === topic ? failingBefore(down, brokerDown, publisher.publish)(to, messages) : publisher.publish(to, messages),
  }),
});

/** A publisher of which one topic refuses every other message, the others going out. Its limit makes several messages of one batch. */
const halfOfTopic = (down: Fault, topic: string): PortWrappers => ({
  publisher: (publisher) => ({
    ...publisher,
    limits: { ...publisher.limits, maxMessageBytes: 20_000 },
    async publish(to, messages) {
      if (to !== topic || !down.isOn) return publisher.publish(to, messages);
      down.struck++;
      const isTaken = (_: unknown, i: number) => i % 2 === 1;
      const taken = await publisher.publish(to, messages.filter(isTaken));
      return messages.map((message, i) =>
        isTaken(message, i) ? (taken[(i - 1) / 2] as PublishOutcome) : { ok: false, error: brokerDown() },
      );
    },
  }),
});

/** Each outage as what stands between the core and a port. */
const OUTAGES: Record<string, (down: Fault) => PortWrappers> = {
  "the store refuses every object": (down) => ({ store: (store) => ({ ...store, put: failingBefore(down, storeDown, store.put) }) }),
  "the store commits and then fails": (down) => ({ store: (store) => ({ ...store, put: failingAfter(down, storeDown, store.put) }) }),
  "an unknown error comes from the store": (down) => ({
    store: (store) => ({ ...store, put: failingBefore(down, () => new TypeError("undefined is no function"), store.put) }),
  }),
  "the index topic cannot be reached": (down) => withoutTopic(down, "index"),
  "the index topic takes every other message": (down) => halfOfTopic(down, "index"),
  "the index database refuses every record": (down) => ({
    index: (index) => ({ ...index, upsert: failingBefore(down, indexDown, index.upsert) }),
  }),
  "the index database stores and then fails": (down) => ({
    index: (index) => ({ ...index, upsert: failingAfter(down, indexDown, index.upsert) }),
  }),
  "nothing can be settled": (down) => ({
    source: (source) => ({ ...source, acknowledge: failingBefore(down, brokerDown, source.acknowledge) }),
  }),
  "nothing can be stored nor given back": (down) => ({
    store: (store) => ({ ...store, put: failingBefore(down, storeDown, store.put) }),
    source: (source) => ({ ...source, release: failingBefore(down, brokerDown, source.release) }),
  }),
  "the broker gives nothing": (down) => ({
    source: (source) => ({ ...source, receive: failingBefore(down, brokerDown, source.receive) }),
  }),
};

/** Short, so that what could not be settled comes again soon; longer than ten hosts at once take for a batch. */
const LEASE_MS = 2_500;

async function shortLeases(_: Composition, broker: Local["broker"]): Promise<void> {
  await broker.createSubscription("orders", "persistor", { durable: true, leaseMs: LEASE_MS });
  await broker.createSubscription("index", "persistor-indexer", { durable: true, leaseMs: LEASE_MS });
}

const orders = (change: Record<string, unknown> = {}) => ({ orders: pipelineOf("orders", { deadLetter: {}, ...change }) });

async function expectNothingLost(local: Local, count: number): Promise<void> {
  await local.indexed("orders", count);
  await local.drained();
  const numbers = (await local.records("orders")).map(({ attributes }) => Number(attributes.find(([name]) => name === "number")?.[1]));
  expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, n) => n));
  expect(await local.audit("orders")).toMatchObject({ indexed: count, missing_in_index: 0, missing_in_store: 0, unreadable_objects: 0 });
  expect(local.counted("persistor.dead_letters")).toBe(0);
  expect(await local.records("dead-letter")).toEqual([]);
}

describe.concurrent("while", () => {
  it.each(Object.keys(OUTAGES))(
    "%s, nothing is dead-lettered, and all is there once it works again",
    async (name) => {
      const down = fault();
      down.isOn = true;
      const local = await openLocal(orders(), { wrap: OUTAGES[name]?.(down), beforeStart: shortLeases });
      try {
        await local.publish("orders", contents(0, COUNT / 2));
        const enough = name.startsWith("the index database") ? INDEX_FAULTS_BEFORE_MEND : FAULTS_BEFORE_MEND;
        await until("the outage to be felt", () => down.struck >= enough);
        await local.publish("orders", contents(COUNT / 2, COUNT / 2));
        down.isOn = false;
        await expectNothingLost(local, COUNT);
      } finally {
        await local.dispose();
      }
    },
    120_000,
  );
});

describe("a disk that is full", () => {
  it("stores what waits once there is room, and has no half-written object", async ({ skip }) => {
    const folder = await mkdtemp(join(tmpdir(), "persistor-small-disk-"));
    const unmount = mountSmallDisk(folder, 2);
    if (!unmount) return skip("this machine lets us mount no file system");
    try {
      const filler = join(folder, "filler");
      await writeFile(filler, Buffer.alloc(1_500_000));
      const warned: unknown[] = [];
      const log = {
        info: () => undefined,
        warn: (_: string, fields?: object) => void warned.push(JSON.stringify(fields)),
        error: () => undefined,
        child: () => log,
      };
      const local = await openLocal(orders({ store: { kind: "fs", dir: join(folder, "objects"), codec: "null", path: "" } }), { log });
      const large = (n: number) => textContent("", { payload: Buffer.alloc(3_000, n), attributes: [stringAttribute("number", String(n))] });
      try {
        await local.publish(
          "orders",
          Array.from({ length: COUNT }, (_, n) => large(n)),
        );
        await until("a batch to be released", () => warned.length > 0);
        expect(warned[0]).toContain("the disk is full; free space");
        await rm(filler);
        await expectNothingLost(local, COUNT);
      } finally {
        await local.dispose();
      }
    } finally {
      unmount();
      await rm(folder, { recursive: true, force: true });
    }
  });
});

/** What fails while a resubmission runs. */
const JOB_OUTAGES: Record<string, (down: Fault) => PortWrappers> = {
  "the store cannot be read": (down) => ({ store: (store) => ({ ...store, get: failingBefore(down, storeDown, store.get) }) }),
  "the destination cannot be reached": (down) => withoutTopic(down, "replay"),
  "the destination takes every other message": (down) => halfOfTopic(down, "replay"),
  "the index cannot be searched": (down) => ({ index: (index) => ({ ...index, find: failingBefore(down, indexDown, index.find) }) }),
};

describe.concurrent("a resubmission during which", () => {
  it.each(Object.keys(JOB_OUTAGES))("%s sends everything, each once, when it works again", async (name) => {
    const down = fault();
    const local = await openLocal(orders(), { wrap: JOB_OUTAGES[name]?.(down) });
    try {
      await local.publish("orders", contents(0, COUNT));
      await local.indexed("orders", COUNT);
      down.isOn = true;
      const resubmitted = local.resubmit("orders", "replay");
      await until("the outage to be felt", () => down.struck >= 2);
      down.isOn = false;
      const { job, summary } = await resubmitted;
      expect(job.state).toBe("succeeded");
      expect(summary).toMatchObject({ failures: 0, counts: { indexed: COUNT, published: COUNT, verified: COUNT } });
      const texts = (await messagesOf(local, "replay")).map(({ payload }) => Buffer.from(payload).toString());
      expect(texts.sort()).toEqual(
        contents(0, COUNT)
          .map(({ payload }) => Buffer.from(payload).toString())
          .sort(),
      );
    } finally {
      await local.dispose();
    }
  });
});

describe("a large backlog", () => {
  const MESSAGES = 48_000;
  const MESSAGE_BYTES = 10_000;
  const PER_CALL = 1_000;

  it("is worked off without taking memory for it, also when the store refuses everything for a while", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "persistor-backlog-"));
    try {
      const broker = await openBroker({}, { dataDir });
      await broker.createTopic("orders", { retained: false });
      await broker.createSubscription("orders", "persistor", { durable: true });
      const payload = Buffer.alloc(MESSAGE_BYTES);
      for (let i = 0; i < payload.length; i++) payload[i] = Math.random() * 256;
      for (let sent = 0; sent < MESSAGES; sent += PER_CALL) {
        await broker.publisher.publish(
          "orders",
          Array.from({ length: PER_CALL }, () => textContent("", { payload })),
        );
      }
      await broker.close();
      const script = join(import.meta.dirname, "..", "services", "backlog-host.ts");
      const pipelines = JSON.stringify({ orders: pipelineOf("orders", { batch: { maxBytes: 2_000_000, maxWaitMs: 50 } }) });
      const env = { ...process.env, PERSISTOR_DATA_DIR: dataDir, PERSISTOR_PIPELINES: pipelines };
      const { stdout } = await promisify(execFile)(process.execPath, ["--disable-warning=ExperimentalWarning", script, "3000"], { env });
      const { baseBytes, peakBytes, refusedPuts } = JSON.parse(stdout) as Record<string, number>;
      expect(refusedPuts).toBeGreaterThan(0);
      // The collector takes its time: less than the backlog is enough to tell that the backlog is not held.
      expect((peakBytes as number) - (baseBytes as number)).toBeLessThan(0.75 * MESSAGES * MESSAGE_BYTES);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  }, 240_000);
});
