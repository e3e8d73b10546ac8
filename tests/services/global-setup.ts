import { fetchPrograms } from "./programs.ts";

/** Before any test: what the suites of the real services need, fetched once a machine. */
export default async function setup(): Promise<void> {
  // Google's clients look for a metadata server otherwise.
  process.env.METADATA_SERVER_DETECTION = "none";
  await fetchPrograms((text) => process.stdout.write(`${text}\n`));
}
