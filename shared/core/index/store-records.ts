import type { Clock } from "../clock.ts";
import type { IndexRecord } from "../index-record.ts";
import type { Log } from "../ports/log.ts";
import type { MetadataIndex } from "../ports/metadata-index.ts";
import type { Meter } from "../ports/meter.ts";

export interface IndexDeps {
  index: MetadataIndex;
  clock: Clock;
  meter: Meter;
  log: Log;
}

/** Records of one call at most; a database transaction of this size amortises its commit well. */
const MAX_RECORDS = 10_000;
const CONFLICTS_LOGGED = 10;

/** Upserts records of one collection, stamped with the indexer's time; idempotent. Throws IndexError. */
export async function storeRecords(collection: string, records: readonly IndexRecord[], deps: IndexDeps): Promise<void> {
  const indexerTime = deps.clock.nowMs();
  for (let from = 0; from < records.length; from += MAX_RECORDS) {
    const stamped = records.slice(from, from + MAX_RECORDS).map((record) => ({ ...record, indexer_ingestion_time: indexerTime }));
    const { inserted, existed, conflicts } = await deps.index.upsert(collection, stamped);
    const labels = { collection };
    deps.meter.add("persistor.index.inserted", inserted, labels);
    deps.meter.add("persistor.index.existed", existed, labels);
    if (conflicts.length === 0) continue;
    deps.meter.add("persistor.index.conflicts", conflicts.length, labels);
    deps.log.error("one id with two contents: the later is kept under another id", {
      collection,
      count: conflicts.length,
      ids: conflicts.slice(0, CONFLICTS_LOGGED),
    });
  }
}
