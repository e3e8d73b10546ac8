import { rm } from "node:fs/promises";
import { join } from "node:path";
import { openIndex } from "../../shared/adapters/indexes/sqlite/adapter.ts";
import { open as openStore } from "../../shared/adapters/stores/fs/adapter.ts";
import { parsePathMask } from "../../shared/core/object-name.ts";
import type { Pipeline } from "../../shared/core/pipeline.ts";
import type { MetadataIndex } from "../../shared/core/ports/metadata-index.ts";
import type { PipelineSettings } from "../../shared/runtime/settings/pipelines.ts";
import { readSettings, type Settings } from "../../shared/runtime/settings/settings.ts";
import { FLIGHTS } from "./flights.ts";

/** A data folder that the local host could serve, with flights persisted and indexed by the core alone. */
export interface Archive {
  dataDir: string;
  count: number;
  /** Records per second of each 100,000 that were indexed, in their order. */
  indexRates: number[];
  /** The same of bare inserts of the same records. */
  bareRates: number[];
}

/** Messages of one object. */
export const BATCH_MESSAGES = 5_000;

/** The settings of a first start on `dataDir`, without the sample. */
export function settingsOf(dataDir: string): Settings {
  return readSettings({ PERSISTOR_DATA_DIR: dataDir, PERSISTOR_SAMPLE: "off" });
}

/** The default pipeline of the flights on files under `dataDir`, without index and dead letters. */
export async function openPipeline(dataDir: string, change: Partial<Pipeline["store"]> = {}): Promise<Pipeline> {
  const { store, batch } = settingsOf(dataDir).pipelines[FLIGHTS] as PipelineSettings;
  return {
    name: FLIGHTS,
    brokerId: FLIGHTS,
    topic: FLIGHTS,
    store: {
      name: store.name ?? FLIGHTS,
      objects: await openStore({}, { dataDir }),
      prefix: store.prefix,
      mask: parsePathMask(store.path),
      format: store.format,
      codec: store.codec,
      extension: "avro",
      ...change,
    },
    batch,
    isDeadLetters: false,
  };
}

export function openArchiveIndex({ dataDir }: Archive): Promise<MetadataIndex> {
  return openIndex({}, { dataDir });
}

/** The database of bare inserts beside the archive: one table, one row per record. */
export function bareDatabase({ dataDir }: Archive): string {
  return join(dataDir, "bare.db");
}

/** Forgets what earlier resubmissions published and planned, so that each starts on the same state. */
export async function forgetResubmissions({ dataDir }: Archive): Promise<void> {
  for (const file of ["broker.db", "jobs.db"]) {
    for (const ending of ["", "-wal", "-shm"]) await rm(join(dataDir, file + ending), { force: true });
  }
}
