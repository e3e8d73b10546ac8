import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BrokerHarness } from "../../../../tests/contract/support-ports.ts";
import { open } from "./adapter.ts";

/** For the contract suite only: a broker on a folder of its own. */
export const harness: BrokerHarness = {
  async fresh() {
    const dataDir = await mkdtemp(join(tmpdir(), "embedded-broker-"));
    const broker = await open({}, { dataDir });
    const opened = [broker];
    return {
      broker,
      gaps: { "missing topics": "the embedded broker makes a topic at its first use" },
      async reopen() {
        await opened.at(-1)?.close();
        const again = await open({}, { dataDir });
        opened.push(again);
        return again;
      },
      async dispose() {
        for (const each of opened) await each.close();
        await rm(dataDir, { recursive: true, force: true });
      },
    };
  },
};
