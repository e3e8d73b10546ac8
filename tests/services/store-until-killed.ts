import { writeSync } from "node:fs";
import { open } from "../../shared/adapters/stores/fs/adapter.ts";
import { bytesOfKey } from "../contract/support-kills.ts";

/* Run as a process of its own, to be killed: writes objects into the store in the folder given, and tells each one that is confirmed. */
const [dataDir, round] = process.argv.slice(2) as [string, string];
const store = await open({}, { dataDir });
writeSync(1, "ready \n");

async function writeOn(lane: number): Promise<never> {
  for (let i = 0; ; i++) {
    const key = `round=${round}/lane=${lane}/${i % 7}/${i}.bin`;
    const bytes = bytesOfKey(key);
    await store.put(key, [bytes.subarray(0, 1000), bytes.subarray(1000)], { contentType: "x" });
    writeSync(1, `stored ${key}\n`);
  }
}

await Promise.all([0, 1, 2, 3].map(writeOn));
