import { join } from "node:path";
import { kafkaBrokerMissing } from "../../tests/services/kafka-broker.ts";
import { fetchPrograms } from "../../tests/services/programs.ts";
import { inTemporaryFolder, machine, readAsked, runBenches, showProgress } from "../lib/running.ts";
import { type KafkaContext, PARTITIONS } from "./lib/context.ts";

// `npm run bench:kafka`: from and to a Kafka broker on this machine.

/** Every bench: its name is that of its file; its file of results has `kafka-` before it. */
const BENCHES = ["persist", "persist-indexed", "resubmit"] as const;

const COUNTS = [100_000, 1_000_000];
const QUICK_COUNTS = [20_000];

async function main(): Promise<void> {
  const asked = readAsked(BENCHES);
  if (!asked) return;
  await fetchPrograms(showProgress);
  const missing = kafkaBrokerMissing();
  if (missing !== undefined) {
    process.stderr.write(`${missing}.\n`);
    process.exitCode = 1;
    return;
  }
  showProgress("");
  console.log(machine());
  console.log(`Broker and program share these cores; every topic has ${PARTITIONS} partitions. Compare a figure with its limit.\n`);
  const counts = asked.isQuick ? QUICK_COUNTS : COUNTS;
  await inTemporaryFolder((root) =>
    runBenches<(typeof BENCHES)[number], KafkaContext>(asked.names, async (name) => ({
      module: new URL(`./${name}.ts`, import.meta.url),
      resultName: `kafka-${name}`,
      context: { folder: join(root, name), counts },
    })),
  );
}

await main();
