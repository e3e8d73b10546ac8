import { openIndex } from "../../shared/adapters/indexes/sqlite/adapter.ts";
import { digestOf } from "../../shared/core/digest.ts";
import { storeRecords } from "../../shared/core/index/store-records.ts";
import type { IndexRecord } from "../../shared/core/index-record.ts";
import { contentSize, type Message } from "../../shared/core/message.ts";
import { pathOf } from "../../shared/core/object-name.ts";
import { writeBatch } from "../../shared/core/persist/write-batch.ts";
import type { Pipeline } from "../../shared/core/pipeline.ts";
import { NO_LOG } from "../../shared/core/ports/log.ts";
import { NO_METER } from "../../shared/core/ports/meter.ts";
import { systemClock } from "../../shared/runtime/clock.ts";
import { type Archive, BATCH_MESSAGES, bareDatabase, openPipeline } from "./archive.ts";
import { openBareTable } from "./bare-table.ts";
import type { Progress } from "./child.ts";
import { FLIGHTS, messagesFrom } from "./flights.ts";
import { inLanes, perSecond, timed } from "./timing.ts";

export interface ArchiveOrder {
  dataDir: string;
  count: number;
}

const CHUNK_RECORDS = 100_000;
const UPSERT_RECORDS = 10_000;
const WRITES_IN_FLIGHT = 3;
const UPSERTS_IN_FLIGHT = 2;

/**
 * Persists and indexes `count` flights by the core, and inserts the same records bare. In turns of 100,000: objects first, then the index and the
 * bare table, whose time alone counts.
 */
export async function measure({ dataDir, count }: ArchiveOrder, progress: Progress): Promise<Archive> {
  const pipeline = await openPipeline(dataDir);
  const index = await openIndex({}, { dataDir });
  const archive: Archive = { dataDir, count, indexRates: [], bareRates: [] };
  const bare = openBareTable(bareDatabase(archive));
  const deps = { index, clock: systemClock, meter: NO_METER, log: NO_LOG };
  for (let first = 0; first < count; first += CHUNK_RECORDS) {
    const size = Math.min(CHUNK_RECORDS, count - first);
    progress(`building an archive of ${count.toLocaleString("en-US")} messages: ${first.toLocaleString("en-US")} are there`);
    const calls = callsOf(await writeObjects(pipeline, first, size));
    const indexMs = await timed(() =>
      inLanes(UPSERTS_IN_FLIGHT, calls.length, (i) => storeRecords(FLIGHTS, calls[i] as IndexRecord[], deps)),
    );
    const bareMs = await timed(() => calls.forEach(bare.insert));
    archive.indexRates.push(perSecond(size, indexMs));
    archive.bareRates.push(perSecond(size, bareMs));
  }
  const [summary] = await index.summarize(FLIGHTS, { op: "all", of: [] });
  if (summary?.count !== count) throw new Error(`building the archive: ${summary?.count} records are in the index, not ${count}`);
  await index.close();
  bare.database.close();
  return archive;
}

/** Writes flights by the core, in objects of 5,000, as `change` makes them; returns the index records. */
export async function writeObjects(
  pipeline: Pipeline,
  first: number,
  count: number,
  change: (message: Message) => Message = (message) => message,
): Promise<IndexRecord[]> {
  const objects = Math.ceil(count / BATCH_MESSAGES);
  const written: IndexRecord[][] = [];
  await inLanes(WRITES_IN_FLIGHT, objects, async (i) => {
    const messages = messagesFrom(first + i * BATCH_MESSAGES, Math.min(BATCH_MESSAGES, count - i * BATCH_MESSAGES)).map(change);
    const ingestionTimeUs = systemClock.nowMs() * 1000;
    const records = messages.map((message) => ({ message, digest: digestOf(message), ingestionTimeUs, pipeline: pipeline.name }));
    const [head] = messages;
    const path = head ? pathOf(pipeline.store.mask, head) : "";
    const bytes = messages.reduce((sum, message) => sum + contentSize(message), 0);
    const positions = messages.map((_, position) => position);
    written[i] = (await writeBatch(pipeline.store, { path, records, positions, bytes }, true)).records;
  });
  return written.flat();
}

/** Cuts records into calls of the size that the archive is indexed by. */
export function callsOf(records: readonly IndexRecord[]): IndexRecord[][] {
  const calls = Math.ceil(records.length / UPSERT_RECORDS);
  return Array.from({ length: calls }, (_, i) => records.slice(i * UPSERT_RECORDS, (i + 1) * UPSERT_RECORDS));
}
