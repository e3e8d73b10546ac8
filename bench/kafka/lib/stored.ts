import { open } from "../../../shared/adapters/stores/fs/adapter.ts";
import { NO_LOG } from "../../../shared/core/ports/log.ts";
import { tightestOf } from "../../lib/tightest.ts";

/** What lies in the files of a data folder. */
export interface Stored {
  objects: number;
  bytes: number;
}

/** Counts the objects of a data folder. */
export async function storedIn(dataDir: string): Promise<Stored> {
  const stored = { objects: 0, bytes: 0 };
  for await (const { size } of (await open({}, { dataDir, log: NO_LOG })).list("")) {
    stored.objects++;
    stored.bytes += size;
  }
  return stored;
}

/** Bytes of a message in the first object of a data folder: compressed as tight as zstd can, and as they came. */
export async function tightestIn(dataDir: string): Promise<{ stored: number; content: number }> {
  return tightestOf(await open({}, { dataDir, log: NO_LOG }), "");
}
