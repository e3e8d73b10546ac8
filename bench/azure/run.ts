import { join } from "node:path";
import { ensureBundles } from "../../tests/services/bundles.ts";
import { inTemporaryFolder, machine, readAsked, runBenches, showProgress } from "../lib/running.ts";
import type { AzureContext } from "./lib/context.ts";

// `npm run bench:azure`: the adapter of Service Bus, and the function app from its bundle, on Azure's parts on this machine.

/** Every bench: its name is that of its file, its file of results has `azure-` before it; and its messages, in all and where it is to be quick. */
const COUNTS = {
  "service-bus-persist": [100_000, 20_000],
  "service-bus-resubmit": [100_000, 20_000],
  "kafka-objects": [200_000, 20_000],
  import: [0, 0],
} as const;

type BenchName = keyof typeof COUNTS;

async function main(): Promise<void> {
  const asked = readAsked(Object.keys(COUNTS) as BenchName[]);
  if (!asked) return;
  showProgress("bundling the functions");
  await ensureBundles();
  showProgress("");
  console.log(machine());
  console.log("Broker, storage and function share these cores: compare a figure with its limit, not with another machine's.\n");
  await inTemporaryFolder((root) =>
    runBenches<BenchName, AzureContext>(asked.names, async (name) => ({
      module: new URL(`./${name}.ts`, import.meta.url),
      resultName: `azure-${name}`,
      context: { folder: join(root, name), count: COUNTS[name][asked.isQuick ? 1 : 0] },
    })),
  );
}

await main();
