import { writeSync } from "node:fs";
import { open } from "../../shared/adapters/stores/azure-blob/adapter.ts";
import { largeBytesOfKey } from "../adapters/azure-blob-support.ts";

/* Run as a process of its own, to be killed: writes objects by blocks, and tells each one that is confirmed. */
const [settings, round] = process.argv.slice(2) as [string, string];
const store = await open(JSON.parse(settings));
writeSync(1, "ready \n");
for (let i = 0; ; i++) {
  const key = `round=${round}/${i}.bin`;
  await store.put(key, [largeBytesOfKey(key)], { contentType: "x" });
  writeSync(1, `stored ${key}\n`);
}
