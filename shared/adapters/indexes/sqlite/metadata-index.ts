import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { InvalidInput } from "../../../core/errors.ts";
import type { IndexRecord } from "../../../core/index-record.ts";
import type { FindOptions, IndexSummary, MetadataIndex, UpsertResult } from "../../../core/ports/metadata-index.ts";
import { type SqliteWorker, startSqliteWorker } from "../../support/sqlite-worker.ts";
import { databaseError, portError } from "./errors.ts";
import type { IndexWorkerData } from "./index-schema.ts";
import type { FindCall, GetCall, SummarizeCall } from "./index-worker.ts";
import type { UpsertCall } from "./index-write.ts";
import { type Rows, recordsOf } from "./rows.ts";
import { INDEX_FILE, JSON_SLICE_RECORDS, MAX_COMMIT_RECORDS, READER_CACHE_KIB, WORKER_HEAP_MIB, WRITER_CACHE_KIB } from "./settings.ts";

const MAX_IDS = 10_000;

/** Opens the metadata index in `dataDir`, made if it is not there. Throws IndexError `index_unavailable`. */
export async function openMetadataIndex(dataDir: string): Promise<MetadataIndex> {
  const path = join(dataDir, INDEX_FILE);
  await mkdir(dataDir, { recursive: true }).catch((cause) => {
    throw databaseError(`making the data folder ${dataDir}`, "index_unavailable", cause);
  });
  const { writer, reader } = await startWorkers(path);
  const upsert = joinedUpserts(writer);
  let sourceIndex: Promise<unknown> | undefined;

  return {
    upsert,
    async get(collection, ids) {
      if (ids.length > MAX_IDS) throw new InvalidInput(`reading records by id: ${ids.length} ids; at most ${MAX_IDS} a call`);
      return unpacked(await call<Rows>(reader, "get", { collection, ids: [...new Set(ids)] } satisfies GetCall));
    },
    async find(collection, options) {
      if (options.after && options.after.order !== options.order)
        throw new InvalidInput("finding records: the position is one of another order");
      if (options.order === "source") {
        sourceIndex ??= call(writer, "makeSourceIndex");
        await sourceIndex.catch((error) => {
          sourceIndex = undefined;
          throw error;
        });
      }
      return findAll(reader, collection, options);
    },
    summarize: (collection, filter, bucketMs) =>
      call<IndexSummary[]>(reader, "summarize", { collection, filter, bucketMs } satisfies SummarizeCall),
    async close() {
      await reader.close();
      await writer.close();
    },
  };
}

/** Asks for the next records before it unpacks the last, so that both threads are busy. */
async function findAll(reader: SqliteWorker, collection: string, options: FindOptions): Promise<IndexRecord[]> {
  const ask = (asked: FindOptions) => call<Rows>(reader, "find", { collection, options: asked } satisfies FindCall);
  const records: IndexRecord[] = [];
  let left = options.limit;
  let rows: Rows | undefined = await ask(options);
  while (rows) {
    left -= rows.count;
    const following: Promise<Rows> | undefined = rows.next && ask({ ...options, after: rows.next, offset: 0, limit: left });
    // The error is thrown where the answer is awaited.
    following?.catch(() => undefined);
    for (const record of await unpacked(rows)) records.push(record);
    rows = await following;
  }
  return records;
}

/** Both at once, to start sooner. In a new file they may get into each other's way: then the reader tries again when the writer has made it. */
async function startWorkers(path: string): Promise<{ writer: SqliteWorker; reader: SqliteWorker }> {
  const startReader = () => startWorker({ path, role: "reader", cacheKib: READER_CACHE_KIB });
  const [writer, reader] = await Promise.allSettled([startWorker({ path, role: "writer", cacheKib: WRITER_CACHE_KIB }), startReader()]);
  if (writer.status === "rejected") {
    if (reader.status === "fulfilled") await reader.value.close();
    throw writer.reason;
  }
  if (reader.status === "fulfilled") return { writer: writer.value, reader: reader.value };
  try {
    return { writer: writer.value, reader: await startReader() };
  } catch (error) {
    await writer.value.close();
    throw error;
  }
}

function startWorker(data: IndexWorkerData): Promise<SqliteWorker> {
  return startSqliteWorker({
    from: import.meta.url,
    script: "./index-worker",
    data,
    unavailable: "index_unavailable",
    maxOldSpaceMb: WORKER_HEAP_MIB,
  }).catch((error) => {
    throw portError(error, "index_unavailable");
  });
}

async function call<T>(worker: SqliteWorker, method: string, argument?: unknown): Promise<T> {
  try {
    return await worker.call<T>(method, argument);
  } catch (error) {
    throw portError(error, "index_unavailable");
  }
}

interface WaitingUpsert {
  call: UpsertCall;
  count: number;
  resolve(result: UpsertResult): void;
  reject(error: unknown): void;
}

/**
 * Calls that come while the writer is busy share the next transaction: the more records are written at once, the fewer pages of the
 * attribute table are written again and again.
 */
function joinedUpserts(writer: SqliteWorker): MetadataIndex["upsert"] {
  const waiting: WaitingUpsert[] = [];
  let isWriting = false;

  const writeAll = async () => {
    if (isWriting) return;
    isWriting = true;
    while (waiting.length > 0) await writeGroup(writer, nextGroup(waiting));
    isWriting = false;
  };
  return async (collection, records) => {
    if (records.length === 0) return { inserted: 0, existed: 0, conflicts: [] };
    const slices = await packed(records);
    return new Promise((resolve, reject) => {
      waiting.push({ call: { collection, slices }, count: records.length, resolve, reject });
      void writeAll();
    });
  };
}

function nextGroup(waiting: WaitingUpsert[]): WaitingUpsert[] {
  let records = 0;
  const end = waiting.findIndex(({ count }, i) => {
    records += count;
    return i > 0 && records > MAX_COMMIT_RECORDS;
  });
  return waiting.splice(0, end === -1 ? waiting.length : end);
}

async function writeGroup(writer: SqliteWorker, group: readonly WaitingUpsert[]): Promise<void> {
  try {
    const calls = group.map((waiting) => waiting.call);
    const results = await call<UpsertResult[]>(writer, "upsert", calls);
    for (const [i, waiting] of group.entries()) waiting.resolve(results[i] as UpsertResult);
  } catch (error) {
    for (const waiting of group) waiting.reject(error);
  }
}

async function packed(records: readonly IndexRecord[]): Promise<string[]> {
  const slices: string[] = [];
  for (let i = 0; i < records.length; i += JSON_SLICE_RECORDS) {
    if (i > 0) await setImmediate();
    slices.push(JSON.stringify(records.slice(i, i + JSON_SLICE_RECORDS)));
  }
  return slices;
}

async function unpacked({ slices, objects }: Rows): Promise<IndexRecord[]> {
  const records: IndexRecord[] = [];
  for (const [i, slice] of slices.entries()) {
    if (i > 0) await setImmediate();
    for (const record of recordsOf(slice, objects)) records.push(record);
  }
  return records;
}
