import { join } from "node:path";
import type { Archive } from "./lib/archive.ts";
import { runChild } from "./lib/child.ts";
import { type BenchContext, RANGE_MESSAGES } from "./lib/context.ts";
import { inTemporaryFolder, machine, readAsked, runBenches, showProgress } from "./lib/running.ts";

/** Every bench, by the name of its file and of its file of results, and whether it needs the archive. */
const NEEDS_ARCHIVE = {
  start: false,
  persist: false,
  size: false,
  "end-to-end": false,
  indexing: true,
  "by-id": true,
  pages: true,
  filter: true,
  resubmit: true,
  memory: true,
} as const;

type BenchName = keyof typeof NEEDS_ARCHIVE;

const COUNT = 1_000_000;

async function main(): Promise<void> {
  const asked = readAsked(Object.keys(NEEDS_ARCHIVE) as BenchName[]);
  if (!asked) return;
  const count = asked.isQuick ? RANGE_MESSAGES : COUNT;
  console.log(machine());
  await inTemporaryFolder((root) => runAll(asked.names, count, root));
}

function runAll(names: readonly BenchName[], count: number, root: string): Promise<void> {
  let archive: Archive | null = null;
  return runBenches<BenchName, BenchContext>(names, async (name) => {
    if (NEEDS_ARCHIVE[name]) archive ??= await buildArchive(root, count);
    const context = { folder: join(root, name), count, archive: NEEDS_ARCHIVE[name] ? archive : null };
    return { module: new URL(`./${name}.ts`, import.meta.url), resultName: name, context };
  });
}

function buildArchive(root: string, count: number): Promise<Archive> {
  return runChild(new URL("./lib/build-archive.ts", import.meta.url), { dataDir: join(root, "archive"), count }, showProgress);
}

await main();
