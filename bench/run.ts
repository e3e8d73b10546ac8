import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import type { Archive } from "./lib/archive.ts";
import { type Progress, runChild } from "./lib/child.ts";
import { type BenchContext, RANGE_MESSAGES } from "./lib/context.ts";
import { type Figure, isMet, removeResults, tableHead, tableRows, writeResults } from "./lib/figures.ts";

/** Every bench: its name is that of its file, and of its file of results. */
const BENCHES = [
  { name: "start", needsArchive: false },
  { name: "persist", needsArchive: false },
  { name: "size", needsArchive: false },
  { name: "end-to-end", needsArchive: false },
  { name: "indexing", needsArchive: true },
  { name: "by-id", needsArchive: true },
  { name: "pages", needsArchive: true },
  { name: "filter", needsArchive: true },
  { name: "resubmit", needsArchive: true },
  { name: "memory", needsArchive: true },
] as const;

type BenchName = (typeof BENCHES)[number]["name"];

const COUNT = 1_000_000;
const QUICK = "--quick";

async function main(): Promise<void> {
  const asked = process.argv.slice(2);
  const names = asked.filter((word) => word !== QUICK);
  const unknown = names.find((name) => !BENCHES.some((bench) => bench.name === name));
  if (unknown !== undefined) {
    process.stderr.write(`There is no bench ${unknown}; there are ${BENCHES.map(({ name }) => name).join(", ")}, and ${QUICK}.\n`);
    process.exitCode = 1;
    return;
  }
  const count = asked.includes(QUICK) ? RANGE_MESSAGES : COUNT;
  console.log(machine());
  console.log(tableHead());
  await inTemporaryFolder((root) => runAll(new Set(names as BenchName[]), count, root));
}

async function runAll(names: ReadonlySet<BenchName>, count: number, root: string): Promise<void> {
  let archive: Archive | null = null;
  const figures: Figure[] = [];
  const startedMs = performance.now();
  for (const { name, needsArchive } of BENCHES) {
    if (names.size > 0 && !names.has(name)) continue;
    try {
      if (needsArchive) archive ??= await buildArchive(root, count);
      figures.push(...(await runBench(name, { folder: join(root, name), count, archive: needsArchive ? archive : null })));
    } catch (error) {
      showProgress("");
      console.log(`${name} FAILED: ${error instanceof Error ? error.message : error}`);
      process.exitCode = 1;
    }
  }
  const met = figures.filter(isMet).length;
  console.log(
    `\n${met} of ${figures.length} targets met, in ${Math.round((performance.now() - startedMs) / 1000)} s. Figures: bench/results/`,
  );
}

function buildArchive(root: string, count: number): Promise<Archive> {
  return runChild(new URL("./lib/build-archive.ts", import.meta.url), { dataDir: join(root, "archive"), count }, showProgress);
}

async function runBench(name: BenchName, context: BenchContext): Promise<Figure[]> {
  await removeResults(name);
  await mkdir(context.folder, { recursive: true });
  try {
    const figures = await runChild<BenchContext, Figure[]>(new URL(`./${name}.ts`, import.meta.url), context, showProgress);
    showProgress("");
    for (const figure of figures) for (const line of tableRows(figure)) console.log(line);
    await writeResults(name, figures);
    return figures;
  } finally {
    await rm(context.folder, { recursive: true, force: true });
  }
}

async function inTemporaryFolder(work: (root: string) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), "persistor-bench-"));
  const stop = () => {
    // The processes of the benches end with this one.
    void rm(root, { recursive: true, force: true }).finally(() => process.exit(130));
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    await work(root);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

const showProgress: Progress = (text) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else if (text !== "") process.stderr.write(`${text}\n`);
};

function machine(): string {
  const [cpu] = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GB`;
  return `${cpu?.model.trim()}, ${cpus().length} cores, ${memory}, Node ${process.version}, ${process.platform} ${process.arch}, ${new Date().toISOString().slice(0, 10)}\n`;
}

await main();
