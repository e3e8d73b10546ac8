import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EmbeddedBroker } from "../../shared/adapters/brokers/embedded/adapter.ts";
import { readObject } from "../../shared/core/avro/object-file.ts";
import type { StoredRecord } from "../../shared/core/avro/stored-record.ts";
import type { Filter } from "../../shared/core/filter/ast.ts";
import type { IndexRecord } from "../../shared/core/index-record.ts";
import type { AuditProgress } from "../../shared/core/maintenance/audit.ts";
import type { RebuildProgress } from "../../shared/core/maintenance/rebuild.ts";
import type { Message, MessageContent } from "../../shared/core/message.ts";
import type { Job } from "../../shared/core/ports/job-store.ts";
import { type Log, NO_LOG } from "../../shared/core/ports/log.ts";
import type { Meter } from "../../shared/core/ports/meter.ts";
import type { WorkSummary } from "../../shared/core/ports/work-items.ts";
import { getRawObject } from "../../shared/core/raw/raw-object.ts";
import { newJob, newResubmitJob } from "../../shared/core/resubmit/jobs.ts";
import type { ResubmitRequest } from "../../shared/core/resubmit/request.ts";
import { systemClock } from "../../shared/runtime/clock.ts";
import { type Composition, compose, type PortWrappers } from "../../shared/runtime/compose.ts";
import { jobRunner } from "../../shared/runtime/jobs/runner.ts";
import { type LocalFunctions, startFunctions } from "../../shared/runtime/local/functions.ts";
import { readSettings } from "../../shared/runtime/settings/settings.ts";

const EVERYTHING: Filter = { op: "all", of: [] };
const POLL_MS = 10;
const GIVE_UP_AFTER_MS = 50_000;

/** The functions of a local host, without HTTP, in a folder of their own. */
export interface Local {
  dataDir: string;
  composition: Composition;
  broker: EmbeddedBroker;
  /** Sum of each counter that was raised, over all labels. */
  counted(name: string): number;
  publish(topic: string, contents: readonly MessageContent[]): Promise<void>;
  /** All index records of a collection, by publish time and id. */
  records(collection: string, filter?: Filter): Promise<IndexRecord[]>;
  /** Waits until a collection has so many records. */
  indexed(collection: string, count: number): Promise<void>;
  /** Waits until no subscription has anything left. */
  drained(): Promise<void>;
  resubmit(collection: string, topic: string, change?: Partial<ResubmitRequest>): Promise<{ job: Job; summary: WorkSummary }>;
  audit(pipeline: string): Promise<AuditProgress>;
  rebuild(pipeline: string): Promise<RebuildProgress>;
  /** Stops the functions and closes the ports; `start` opens them again. */
  stop(): Promise<void>;
  start(options?: LocalOptions): Promise<void>;
  dispose(): Promise<void>;
}

export interface LocalOptions {
  environment?: Record<string, string>;
  wrap?: PortWrappers;
  log?: Log;
  /** Called with the ports open and nothing running yet. */
  beforeStart?(composition: Composition, broker: EmbeddedBroker): Promise<void>;
}

let jobs = 0;

export async function openLocal(pipelines: Record<string, unknown>, first: LocalOptions = {}): Promise<Local> {
  const dataDir = await mkdtemp(join(tmpdir(), "persistor-local-"));
  const counters = new Map<string, number>();
  const meter: Meter = { add: (name, value) => void counters.set(name, (counters.get(name) ?? 0) + value), record: () => undefined };
  let environment: Record<string, string> = {
    PERSISTOR_DATA_DIR: dataDir,
    PERSISTOR_SAMPLE: "off",
    PERSISTOR_PIPELINES: JSON.stringify(pipelines),
  };
  let functions: LocalFunctions | undefined;

  const open = async ({ environment: change, wrap, log = NO_LOG, beforeStart }: LocalOptions) => {
    environment = { ...environment, ...change };
    const composition = await compose(readSettings(environment), { clock: systemClock, log, meter, wrap });
    const broker = await composition.embedded();
    await beforeStart?.(composition, broker);
    functions = await startFunctions(composition);
    return { composition, broker };
  };
  const maintain = async (kind: "audit" | "rebuild", pipeline: string) => {
    const { composition } = local;
    const spec = { id: `${kind}-${++jobs}`, kind, collection: pipeline, topic: "", request: { pipeline }, createdBy: "test" };
    const job = newJob({ ...spec, upperBoundMs: Date.now(), idempotencyKey: null, requestHash: null, progress: null }, Date.now());
    return drive(composition, job);
  };

  const local: Local = {
    dataDir,
    ...(await open(first)),
    counted: (name) => counters.get(name) ?? 0,
    async publish(topic, contents) {
      for (const content of contents) {
        const [outcome] = await local.broker.publisher.publish(topic, [content]);
        if (!outcome?.ok) throw outcome?.error;
      }
    },
    records: (collection, filter = EVERYTHING) => local.composition.index.find(collection, { filter, order: "publish", limit: 1_000_000 }),
    indexed: (collection, count) =>
      until(`${count} records in ${collection}`, async () => {
        const [summary] = await local.composition.index.summarize(collection, EVERYTHING);
        return (summary?.count ?? 0) >= count;
      }),
    drained: () => until("empty subscriptions", async () => (await backlogOf(local.broker)) === 0),
    async resubmit(collection, topic, change = {}) {
      const selection = { kind: "filter", filter: EVERYTHING, body: {} } as const;
      const options = { offset: 0, limit: null, ordered: false, rate: null, annotate: false };
      const request: ResubmitRequest = { collection, topic, selection, ...options, ...change };
      const by = { id: `resubmit-${++jobs}`, createdBy: "test", idempotencyKey: null, requestHash: null };
      const job = await drive(local.composition, newResubmitJob(request, by, Date.now()));
      return { job, summary: await local.composition.items.summarize(job.id) };
    },
    audit: async (pipeline) => (await maintain("audit", pipeline)).progress as AuditProgress,
    rebuild: async (pipeline) => (await maintain("rebuild", pipeline)).progress as RebuildProgress,
    async stop() {
      await functions?.stop();
      functions = undefined;
      await local.composition.close();
    },
    async start(options = {}) {
      Object.assign(local, await open(options));
    },
    async dispose() {
      await local.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  return local;
}

/** A pipeline of the embedded broker with the topic as its collection, unless told. */
export function pipelineOf(topic: string, change: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    source: { broker: "embedded", topic },
    store: { name: "local", path: "{topic}" },
    batch: { maxMessages: 100, maxWaitMs: 20 },
    index: { topic: "index", collection: topic },
    ...change,
  };
}

async function drive(composition: Composition, job: Job): Promise<Job> {
  await composition.jobs.insert(job);
  const ended = await jobRunner(composition).drive(job.id);
  if (!ended) throw new Error(`driving ${job.id}: it is gone`);
  return ended;
}

async function backlogOf(broker: EmbeddedBroker): Promise<number> {
  return (await broker.topics()).flatMap(({ subscriptions }) => subscriptions).reduce((sum, { backlog }) => sum + backlog, 0);
}

/** Waits for something that is bound to happen; throws naming it where it does not. */
export async function until(what: string, isSo: () => Promise<boolean> | boolean): Promise<void> {
  const endMs = Date.now() + GIVE_UP_AFTER_MS;
  while (!(await isSo())) {
    if (Date.now() > endMs) throw new Error(`waiting for ${what}: it did not come`);
    await systemClock.sleep(POLL_MS);
  }
}

/** Everything that a pipeline's store holds under a folder, in the order of the keys. */
export async function storedRecords(
  { composition }: Pick<Local, "composition">,
  pipeline: string,
  folder = "",
): Promise<{ key: string; record: StoredRecord }[]> {
  const { store } = composition.pipelines.get(pipeline) ?? {};
  if (!store) throw new Error(`reading the store of ${pipeline}: there is no such pipeline`);
  const found: { key: string; record: StoredRecord }[] = [];
  for await (const { key } of store.objects.list(folder)) {
    if (key.endsWith(".persistor.json")) continue;
    if (store.format === "raw") found.push({ key, record: await getRawObject(store.objects, key) });
    else for (const record of await recordsIn(store.objects.get(key))) found.push({ key, record });
  }
  return found;
}

async function recordsIn(object: Promise<{ bytes: Buffer }>): Promise<StoredRecord[]> {
  const records: StoredRecord[] = [];
  for await (const block of readObject((await object).bytes, { brokerId: "", pipeline: "", topic: "" })) {
    if ("fault" in block) throw block.fault.error;
    records.push(...block.records.map(({ record }) => record));
  }
  return records;
}

/** All that a topic keeps, read by a subscription that starts anew. */
export async function messagesOf({ broker }: Pick<Local, "broker">, topic: string): Promise<Message[]> {
  const source = await broker.openSource({ id: topic, topic, subscription: `reader-${++jobs}` });
  const messages: Message[] = [];
  for (;;) {
    const deliveries = await source.receive({ maxMessages: 1_000, maxBytes: 64_000_000, maxWaitMs: 0 });
    if (deliveries.length === 0) break;
    messages.push(...deliveries.map(({ message }) => message));
    await source.acknowledge(deliveries);
  }
  await source.close();
  return messages;
}

/** A message to publish with this text as payload. */
export function textContent(text: string, change: Partial<MessageContent> = {}): MessageContent {
  return {
    payloadKind: "bytes",
    payload: Buffer.from(text),
    attributes: [],
    system: [],
    key: null,
    orderingKey: "",
    contentType: "text/plain",
    ...change,
  };
}

/** A fault that is switched on and off, and how often it struck. */
export interface Fault {
  isOn: boolean;
  struck: number;
  /** Throws what `error` makes while it is on. */
  strike(error: () => Error): void;
}

export function fault(): Fault {
  return {
    isOn: false,
    struck: 0,
    strike(error) {
      if (!this.isOn) return;
      this.struck++;
      throw error();
    },
  };
}
