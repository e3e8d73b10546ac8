import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { KAFKA_JARS } from "./programs.ts";

/** A record as the probe prints it; bytes are hexadecimal. */
export interface ProbedRecord {
  partition: number;
  offset: number;
  timestamp: number;
  /** Only of `consume`. */
  timestampType?: "create" | "append";
  key: string | null;
  value: string | null;
  headers: [name: string, value: string | null][];
}

const run = promisify(execFile);
const SOURCE = fileURLToPath(new URL("./kafka/Probe.java", import.meta.url));
const LIMIT_MS = 60_000;
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

/**
 * Runs Apache's own Kafka client and returns its lines of JSON: `ProbedRecord`s, or for `partition` numbers.
 *
 * - `produce <host> <topic> <none|gzip|snappy|lz4|zstd> <count>`: records of all kinds, in the order in which they were sent.
 * - `transactions <host> <topic> [--leave-open]`: values `c1`–`c10` are committed, `a1`–`a6` aborted; `o1` and `o2`, sent before `c10`,
 *   are aborted at the end, or stay open until the broker aborts them after a minute, with `--leave-open`.
 * - `consume <host> <topic> <count>`: what is committed, from the beginning.
 * - `partition <partitions> <hexadecimal key>...`: the partition of each key; needs no broker.
 */
export async function kafkaProbe(args: readonly string[]): Promise<string[]> {
  // File names and messages are UTF-8, whatever the locale.
  const options = ["-Xmx256m", "-XX:+UseSerialGC", "-Dfile.encoding=UTF-8", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"];
  const { stdout } = await run("java", [...options, "-cp", join(KAFKA_JARS, "*"), SOURCE, ...args], {
    timeout: LIMIT_MS,
    maxBuffer: MAX_OUTPUT_BYTES,
  });
  return stdout.split("\n").filter((line) => line !== "");
}
