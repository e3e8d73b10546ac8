import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreHarness } from "../../../../tests/contract/support-ports.ts";
import { open } from "./adapter.ts";

/** For the contract suite only: a store on a folder of its own. */
export const harness: StoreHarness = {
  async fresh() {
    const dataDir = await mkdtemp(join(tmpdir(), "fs-store-"));
    const store = await open({}, { dataDir });
    return {
      store,
      reopen: () => open({}, { dataDir }),
      async dispose() {
        await store.close();
        await rm(dataDir, { recursive: true, force: true });
      },
    };
  },
};
