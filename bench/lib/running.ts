import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { type Progress, runChild } from "./child.ts";
import { type Figure, isMet, removeResults, tableHead, tableRows, writeResults } from "./figures.ts";

/** What was asked for on the command line. */
export interface Asked<Name extends string> {
  /** All where none was named. */
  names: readonly Name[];
  isQuick: boolean;
}

/** One bench: what it is given, and where it lies. */
export interface BenchRun<Context> {
  module: URL;
  /** Of its file of results. */
  resultName: string;
  context: Context;
}

const QUICK = "--quick";

/** Reads names of benches and `--quick`; undefined, with the reason on standard error, where there is no such bench. */
export function readAsked<Name extends string>(known: readonly Name[]): Asked<Name> | undefined {
  const words = process.argv.slice(2);
  const asked = words.filter((word) => word !== QUICK);
  const unknown = asked.find((word) => !known.some((name) => name === word));
  if (unknown !== undefined) {
    process.stderr.write(`There is no bench ${unknown}; there are ${known.join(", ")}, and ${QUICK}.\n`);
    process.exitCode = 1;
    return undefined;
  }
  return { names: known.filter((name) => asked.length === 0 || asked.includes(name)), isQuick: words.includes(QUICK) };
}

/** Runs benches in their order and prints the table; one that fails is told, and the others go on. */
export async function runBenches<Name extends string, Context extends { folder: string }>(
  names: readonly Name[],
  prepare: (name: Name) => Promise<BenchRun<Context>>,
): Promise<void> {
  const figures: Figure[] = [];
  const startedMs = performance.now();
  console.log(tableHead());
  for (const name of names) {
    try {
      figures.push(...(await runBench(await prepare(name))));
    } catch (error) {
      showProgress("");
      console.log(`${name} FAILED: ${error instanceof Error ? error.message : error}`);
      process.exitCode = 1;
    }
  }
  const met = figures.filter(isMet).length;
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  console.log(`\n${met} of ${figures.length} targets met, in ${seconds} s. Figures: bench/results/`);
}

async function runBench<Context extends { folder: string }>({ module, resultName, context }: BenchRun<Context>): Promise<Figure[]> {
  await removeResults(resultName);
  await mkdir(context.folder, { recursive: true });
  try {
    const figures = await runChild<Context, Figure[]>(module, context, showProgress);
    showProgress("");
    for (const figure of figures) for (const line of tableRows(figure)) console.log(line);
    await writeResults(resultName, figures);
    return figures;
  } finally {
    await rm(context.folder, { recursive: true, force: true });
  }
}

/** Gives `work` a temporary folder, which is removed afterwards, on Ctrl-C too. */
export async function inTemporaryFolder(work: (root: string) => Promise<void>): Promise<void> {
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

/** Shows how far a bench is, on standard error. */
export const showProgress: Progress = (text) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else if (text !== "") process.stderr.write(`${text}\n`);
};

/** What the figures were measured on, in a line. */
export function machine(): string {
  const [cpu] = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GB`;
  return `${cpu?.model.trim()}, ${cpus().length} cores, ${memory}, Node ${process.version}, ${process.platform} ${process.arch}, ${new Date().toISOString().slice(0, 10)}\n`;
}
