import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AdapterContext } from "../../registry.ts";

/** A place of its own for one test, for tests only; `remove` after all that was opened there is closed. */
export async function freshContext(): Promise<{ context: AdapterContext; remove(): Promise<void> }> {
  const dataDir = await mkdtemp(join(tmpdir(), "persistor-sqlite-"));
  return { context: { dataDir }, remove: () => rm(dataDir, { recursive: true, force: true }) };
}
