import type { Measure } from "../../lib/child.ts";
import type { Figure } from "../../lib/figures.ts";

/** What a bench of Google Cloud's parts is given. */
export interface GcpContext {
  /** A folder of this bench alone; removed after it. */
  folder: string;
  /** Messages: 100,000, or 20,000 where it is to be quick. */
  count: number;
}

/** What a bench exports as `measure`. */
export type GcpBench = Measure<GcpContext, Figure[]>;
