import { gcpCloudMissing } from "./gcp-cloud.ts";
import { kafkaBrokerMissing } from "./kafka-broker.ts";
import { fetchPrograms } from "./programs.ts";

/** Before any test: what the suites of the real services need, fetched once a machine; what is still missing is told. */
export default async function setup(): Promise<void> {
  // Google's clients look for a metadata server otherwise.
  process.env.METADATA_SERVER_DETECTION = "none";
  const say = (text: string) => process.stdout.write(`${text}\n`);
  await fetchPrograms(say);
  const missing = [...gcpCloudMissing(), ...[kafkaBrokerMissing()].filter((reason) => reason !== undefined)];
  for (const reason of missing) say(`Suites are skipped: ${reason}.`);
}
