import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EmbeddedBroker } from "../../shared/adapters/brokers/embedded/adapter.ts";
import { digestOf } from "../../shared/core/digest.ts";
import { NO_AUDIT } from "../../shared/core/maintenance/audit.ts";
import { stringAttribute } from "../../shared/core/message.ts";
import { NO_LOG } from "../../shared/core/ports/log.ts";
import { NO_METER } from "../../shared/core/ports/meter.ts";
import type { OutgoingMessage } from "../../shared/core/ports/publisher.ts";
import { newJob, newResubmitJob } from "../../shared/core/resubmit/jobs.ts";
import { systemClock } from "../../shared/runtime/clock.ts";
import { type Composition, compose } from "../../shared/runtime/compose.ts";
import { jobRunner } from "../../shared/runtime/jobs/runner.ts";
import { readSettings } from "../../shared/runtime/settings/settings.ts";
import type { KillStep } from "../services/kill-steps.ts";

const INDEX_TOPIC = "index";
const MESSAGES = 3_000;
const HOST = join(import.meta.dirname, "..", "services", "killable-host.ts");

let dataDir: string;
let environment: Record<string, string>;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "persistor-crash-"));
  const pipeline = (topic: string) => ({
    source: { broker: "embedded", topic },
    store: { name: "local", path: "{topic}/{attribute:kind}" },
    batch: { maxMessages: 200, maxWaitMs: 50 },
    index: { topic: INDEX_TOPIC, collection: topic },
  });
  environment = {
    PERSISTOR_DATA_DIR: dataDir,
    PERSISTOR_PIPELINES: JSON.stringify({ orders: pipeline("orders"), replayed: pipeline("replayed") }),
    PERSISTOR_SAMPLE: "off",
  };
});
afterAll(() => rm(dataDir, { recursive: true, force: true }));

/** Runs the host until it has drained or killed itself; true where it drained. */
function runHost(step: KillStep, spared: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [HOST, JSON.stringify({ step, spared, indexTopic: INDEX_TOPIC })], {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    child.stdout.on("data", (text) => {
      said += text;
    });
    child.stderr.on("data", (text) => {
      said += text;
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      if (signal === "SIGKILL") resolve(false);
      else if (code === 0 && said.includes("drained")) resolve(true);
      else reject(new Error(`the host ended with ${code ?? signal}: ${said}`));
    });
  });
}

async function withComposition<T>(work: (composition: Composition, broker: EmbeddedBroker) => Promise<T>): Promise<T> {
  const composition = await compose(readSettings(environment), { clock: systemClock, log: NO_LOG, meter: NO_METER });
  try {
    return await work(composition, await composition.embedded());
  } finally {
    await composition.close();
  }
}

function outgoing(number: number): OutgoingMessage {
  return {
    payloadKind: "bytes",
    payload: Buffer.from(`payload ${number}`),
    attributes: [stringAttribute("kind", number % 3 === 0 ? "even" : "odd"), stringAttribute("number", String(number))],
    system: [],
    key: null,
    orderingKey: "",
    contentType: "text/plain",
  };
}

/** Kills the host again and again at random passes of the step until a run drains; says how often it was killed. */
async function killUntilDrained(step: KillStep, rounds: number): Promise<number> {
  let killed = 0;
  for (let round = 0; round < rounds; round++) {
    if (await runHost(step, Math.floor(Math.random() * 4))) break;
    killed++;
  }
  while (!(await runHost("never", 0)));
  return killed;
}

async function recordsByNumber({ index }: Composition, collection: string): Promise<Map<string, string[]>> {
  const records = await index.find(collection, { filter: { op: "all", of: [] }, order: "publish", limit: 100_000 });
  return Map.groupBy(
    records.map(({ attributes, digest }) => ({ number: String(attributes.find(([name]) => name === "number")?.[1]), digest })),
    ({ number }) => number,
  )
    .entries()
    .reduce(
      (map, [number, found]) =>
        map.set(
          number,
          found.map(({ digest }) => digest),
        ),
      new Map<string, string[]>(),
    );
}

async function auditOf(composition: Composition, pipeline: string) {
  const spec = { id: `audit-${pipeline}-${Math.random()}`, kind: "audit" as const, collection: pipeline, topic: "", createdBy: "test" };
  const job = newJob(
    { ...spec, request: { pipeline }, upperBoundMs: Date.now(), idempotencyKey: null, requestHash: null, progress: NO_AUDIT },
    Date.now(),
  );
  await composition.jobs.insert(job);
  const ended = await jobRunner(composition).drive(job.id);
  expect(ended?.state).toBe("succeeded");
  return ended?.progress as typeof NO_AUDIT;
}

describe("a host that is killed", () => {
  it.each<KillStep>(["before put", "after put", "after hand-over", "before settle"])(
    "%s, in several rounds, stores and indexes every message once",
    async (step) => {
      const before = await withComposition(async (composition, broker) => {
        const [summary] = await composition.index.summarize("orders", { op: "all", of: [] });
        await broker.createTopic("orders", { retained: false });
        await (await composition.openSource("orders")).close();
        const first = summary?.count ?? 0;
        const outcomes = await broker.publisher.publish(
          "orders",
          Array.from({ length: MESSAGES }, (_, i) => outgoing(first + i)),
        );
        expect(outcomes.every(({ ok }) => ok)).toBe(true);
        return first;
      });
      expect(await killUntilDrained(step, 5)).toBeGreaterThan(0);
      await withComposition(async (composition) => {
        const byNumber = await recordsByNumber(composition, "orders");
        expect(byNumber.size).toBe(before + MESSAGES);
        for (const [number, digests] of byNumber) expect(digests).toEqual([digestOf(outgoing(Number(number))).toString("hex")]);
        const { missing_in_index, missing_in_store, unreadable_objects } = await auditOf(composition, "orders");
        expect({ missing_in_index, missing_in_store, unreadable_objects }).toEqual({
          missing_in_index: 0,
          missing_in_store: 0,
          unreadable_objects: 0,
        });
      });
    },
    240_000,
  );

  it.each<KillStep>(["mid-publish", "mid-job"])(
    "%s ends its resubmission after a restart, with every message sent and verified",
    async (step) => {
      const id = `job-${step}`;
      const request = {
        collection: "orders",
        topic: "replayed",
        selection: { kind: "filter" as const, filter: { op: "all" as const, of: [] }, body: {} },
        offset: 0,
        limit: null,
        ordered: false,
        rate: null,
        annotate: false,
      };
      const { total, digests } = await withComposition(async (composition) => {
        await (await composition.openSource("replayed")).close();
        const records = await recordsByNumber(composition, "orders");
        await composition.jobs.insert(
          newResubmitJob(request, { id, createdBy: "test", idempotencyKey: null, requestHash: null }, Date.now()),
        );
        return { total: records.size, digests: new Set([...records.values()].flat()) };
      });
      expect(await killUntilDrained(step, 3)).toBeGreaterThan(0);
      await withComposition(async (composition) => {
        expect((await composition.jobs.get(id))?.state).toBe("succeeded");
        const { counts } = await composition.items.summarize(id);
        expect(counts).toMatchObject({ indexed: total, published: total, verified: total });
        const replayed = await recordsByNumber(composition, "replayed");
        expect(new Set([...replayed.values()].flat())).toEqual(digests);
      });
    },
    240_000,
  );
});
