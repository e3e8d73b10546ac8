import { readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { GCP_TARGETS, type GcpCloud, type GcpTarget } from "../../tests/services/gcp-cloud.ts";
import type { Progress } from "../lib/child.ts";
import { startServer } from "../lib/host.ts";
import { percentiles } from "../lib/timing.ts";
import { withCloud } from "./lib/cloud.ts";
import type { GcpBench } from "./lib/context.ts";
import { bareArguments, frameworkArguments } from "./lib/functions.ts";

const STARTS = 5;
const PERSIST_TARGET_MS = 300;
const OTHER_TARGET_MS = 350;
const BUNDLES = fileURLToPath(new URL("../../dist/gcp", import.meta.url));
/** What a chunk loads with itself; `import(…)` loads later. */
const LOADED_ALONG = /(?:\bfrom|\bimport)\s*["'](\.{1,2}\/[^"']+)["']/g;

/** Starts of each function under the functions framework until it answers `/healthz`, by turns with those of a function that does nothing. */
export const measure: GcpBench = (_context, progress) =>
  withCloud({ targets: [] }, async (cloud) => {
    const startsMs: Record<string, number[]> = {};
    const bareMs: number[] = [];
    for (let i = 0; i < STARTS; i++) {
      bareMs.push(await startOnce(bareArguments(), cloud, `round ${i + 1} of ${STARTS}: bare`, progress));
      for (const target of GCP_TARGETS) {
        const args = frameworkArguments(join(BUNDLES, target), target);
        const ms = await startOnce(args, cloud, `round ${i + 1} of ${STARTS}: ${target}`, progress);
        startsMs[target] = [...(startsMs[target] ?? []), ms];
      }
    }
    return GCP_TARGETS.map((target) => figureOf(target, startsMs[target] ?? [], bareMs));
  });

async function startOnce(args: readonly string[], { environment }: GcpCloud, what: string, progress: Progress): Promise<number> {
  progress(`starting, ${what}`);
  const server = await startServer(args, "/healthz", environment);
  await server.stop();
  return server.startMs;
}

function figureOf(target: GcpTarget, startsMs: readonly number[], bareMs: readonly number[]): Awaited<ReturnType<GcpBench>>[number] {
  const took = percentiles(startsMs);
  const bare = percentiles(bareMs);
  return {
    name: `gcp start: ${target}, until /healthz answers, p50`,
    value: took.p50,
    unit: "ms",
    target: target === "persist" ? PERSIST_TARGET_MS : OTHER_TARGET_MS,
    better: "lower",
    limit: bare.p50,
    info: [
      { name: "slowest", value: took.p99, unit: "ms", limit: bare.p99 },
      {
        name: "its code, with the chunks that it loads at once",
        value: loadedBytes(join(BUNDLES, target, "index.mjs")) / 1024,
        unit: "KiB",
      },
    ],
  };
}

/** Bytes of a module and of all that it imports statically from its own folder. */
function loadedBytes(entry: string): number {
  const files = new Set([entry]);
  let bytes = 0;
  for (const file of files) {
    bytes += statSync(file).size;
    for (const [, path = ""] of readFileSync(file, "utf8").matchAll(LOADED_ALONG)) files.add(resolve(file, "..", path));
  }
  return bytes;
}
