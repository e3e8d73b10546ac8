import { mkdir, rm, writeFile } from "node:fs/promises";

export type Unit = "messages/s" | "records/s" | "MB/s" | "MB" | "bytes" | "ms" | "ratio" | "messages" | "s" | "KiB" | "objects";

/** One line of the table of targets, as measured. */
export interface Figure {
  name: string;
  value: number;
  unit: Unit;
  target: number;
  better: "higher" | "lower";
  /** The same work done bare on this machine in the same run, in the same unit; null where there is nothing to compare with. */
  limit: number | null;
  /** What was measured along with it and has no target. */
  info?: Info[];
}

export interface Info {
  name: string;
  value: number;
  unit: Unit;
  limit?: number | null;
}

const RESULTS = new URL("../results/", import.meta.url);
const NAME_WIDTH = 62;
const WIDTHS = [12, 11, 10, 12] as const;

export function tableHead(): string {
  return row("name", ["value", "unit", "target", "limit"], "met?");
}

/** A figure and what was measured along with it, as lines of the table. */
export function tableRows(figure: Figure): string[] {
  const { name, value, unit, target, better, limit, info = [] } = figure;
  const sign = better === "higher" ? "≥" : "≤";
  const main = row(name, [shown(value), unit, `${sign} ${shown(target)}`, shownLimit(limit)], isMet(figure) ? "yes" : "NO");
  return [main, ...info.map((one) => row(`  ${one.name}`, [shown(one.value), one.unit, "", shownLimit(one.limit)], ""))];
}

export function isMet({ value, target, better }: Figure): boolean {
  return better === "higher" ? value >= target : value <= target;
}

/** Removes what an earlier run wrote, which must not pass for the figures of one that fails. */
export function removeResults(bench: string): Promise<void> {
  return rm(new URL(`${bench}.json`, RESULTS), { force: true });
}

/** Writes the figures of one bench to `bench/results/<bench>.json`. */
export async function writeResults(bench: string, figures: readonly Figure[]): Promise<void> {
  await mkdir(RESULTS, { recursive: true });
  const rounded = figures.map((figure) => ({
    ...figure,
    value: round(figure.value),
    limit: figure.limit === null ? null : round(figure.limit),
    info: figure.info?.map((info) => ({ ...info, value: round(info.value), limit: info.limit == null ? undefined : round(info.limit) })),
  }));
  await writeFile(new URL(`${bench}.json`, RESULTS), `${JSON.stringify(rounded, null, 2)}\n`);
}

function row(name: string, cells: readonly string[], end: string): string {
  return `${name.padEnd(NAME_WIDTH)} ${cells.map((cell, i) => cell.padStart(WIDTHS[i] ?? 0)).join(" ")}  ${end}`.trimEnd();
}

function shownLimit(limit: number | null | undefined): string {
  return limit == null ? "" : shown(limit);
}

function shown(value: number): string {
  return round(value).toLocaleString("en-US", { maximumFractionDigits: 3 });
}

/** Whole numbers from 100 on, else three digits that count. */
function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}
