import { join } from "node:path";
import { ensureBundles } from "../../tests/services/bundles.ts";
import { gcpCloudMissing } from "../../tests/services/gcp-cloud.ts";
import { fetchPrograms } from "../../tests/services/programs.ts";
import { inTemporaryFolder, machine, readAsked, runBenches, showProgress } from "../lib/running.ts";
import type { GcpContext } from "./lib/context.ts";

// `npm run bench:gcp`: the functions of Google Cloud, from their bundles, on its parts on this machine.

/** Every bench: its name is that of its file; its file of results has `gcp-` before it. */
const BENCHES = ["start", "size", "persist-pull", "persist-push", "index", "resubmit"] as const;

const COUNT = 100_000;
const QUICK_COUNT = 20_000;

async function main(): Promise<void> {
  const asked = readAsked(BENCHES);
  if (!asked) return;
  await fetchPrograms(showProgress);
  const missing = gcpCloudMissing();
  if (missing.length > 0) {
    process.stderr.write(`Google Cloud's parts cannot run here:\n${missing.map((reason) => `  - ${reason}\n`).join("")}`);
    process.exitCode = 1;
    return;
  }
  showProgress("bundling the functions");
  await ensureBundles();
  showProgress("");
  console.log(machine());
  console.log(
    "Broker, storage, database, pump and function share these cores: compare a figure with its limit, not with another machine's.\n",
  );
  const count = asked.isQuick ? QUICK_COUNT : COUNT;
  await inTemporaryFolder((root) =>
    runBenches<(typeof BENCHES)[number], GcpContext>(asked.names, async (name) => ({
      module: new URL(`./${name}.ts`, import.meta.url),
      resultName: `gcp-${name}`,
      context: { folder: join(root, name), count },
    })),
  );
}

await main();
