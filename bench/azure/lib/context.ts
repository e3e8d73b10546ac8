import type { Measure } from "../../lib/child.ts";
import type { Figure } from "../../lib/figures.ts";

/** What a bench of Azure's parts is given. */
export interface AzureContext {
  /** A folder of this bench alone; removed after it. */
  folder: string;
  /** Messages, for each measurement anew. */
  count: number;
}

/** What a bench exports as `measure`. */
export type AzureBench = Measure<AzureContext, Figure[]>;
