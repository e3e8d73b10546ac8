import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { IndexHarness } from "../../../../tests/contract/support-ports.ts";
import type { AdapterContext } from "../../registry.ts";
import { openIndex, openJobs } from "./adapter.ts";

/** A place of its own for one test, for tests only; `remove` after all that was opened there is closed. */
export async function freshContext(): Promise<{ context: AdapterContext; remove(): Promise<void> }> {
  const dataDir = await mkdtemp(join(tmpdir(), "persistor-sqlite-"));
  return { context: { dataDir }, remove: () => rm(dataDir, { recursive: true, force: true }) };
}

/** For the contract suites only: both databases in a folder of their own. */
export const harness: IndexHarness = {
  async fresh() {
    const { context, remove } = await freshContext();
    return { openIndex: () => openIndex({}, context), openJobs: () => openJobs({}, context), dispose: remove };
  },
};
