import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** What a killed process had said: its words, each with all that it was said of. */
export type Sayings = Map<string, Set<string>>;

/**
 * Runs a script of tests/services/ until it says `ready`, kills it (SIGKILL) `afterMs` later, and returns what it said.
 * Throws where it ended by itself.
 */
export async function runUntilKilled(script: string, args: readonly string[], afterMs: number): Promise<Sayings> {
  const path = fileURLToPath(new URL(`../services/${script}`, import.meta.url));
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", path, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  let isArmed = false;
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    output += chunk;
    if (isArmed || !output.includes("ready")) return;
    isArmed = true;
    setTimeout(() => child.kill("SIGKILL"), afterMs);
  });
  const signal = await new Promise((resolve) => child.on("close", (_, ended) => resolve(ended)));
  if (signal !== "SIGKILL") throw new Error(`running ${script}: it ended before it was killed; see its output above`);
  return sayingsOf(output);
}

function sayingsOf(output: string): Sayings {
  const sayings: Sayings = new Map();
  // The last line may be cut off.
  for (const line of output.split("\n").slice(0, -1)) {
    const [what, ...names] = line.split(" ") as [string, ...string[]];
    const said = sayings.get(what) ?? new Set();
    for (const name of names) said.add(name);
    sayings.set(what, said);
  }
  return sayings;
}

/** The bytes that an object of this key holds in the kill tests: 1 KB to 1 MB, told by the key. */
export function bytesOfKey(key: string): Buffer {
  const sum = [...key].reduce((all, character) => (all * 31 + character.charCodeAt(0)) % 1_000_000, 7);
  return Buffer.alloc(1000 + sum, `${key};`);
}
