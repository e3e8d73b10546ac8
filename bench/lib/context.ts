import type { Archive } from "./archive.ts";
import type { Measure } from "./child.ts";
import type { Figure } from "./figures.ts";

/** What a bench is given. */
export interface BenchContext {
  /** A folder of this bench alone; removed after it. */
  folder: string;
  /** Messages of the large benches: 1,000,000, or 100,000 where it is to be quick. */
  count: number;
  /** The archive of `count` flights; only for benches that ask for it. */
  archive: Archive | null;
}

/** What a bench exports as `measure`. */
export type Bench = Measure<BenchContext, Figure[]>;

/** Throws where the bench was run without the archive that it needs. */
export function archiveOf({ archive }: BenchContext): Archive {
  if (!archive) throw new Error("running a bench: it was given no archive; say so in the table of benches");
  return archive;
}

/** The range that the benches of 100,000 messages take. */
export const RANGE_MESSAGES = 100_000;

/** 1,000,000 → "1,000,000". */
export function spelled(count: number): string {
  return count.toLocaleString("en-US");
}
