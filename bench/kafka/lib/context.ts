import type { Measure } from "../../lib/child.ts";
import { RANGE_MESSAGES } from "../../lib/context.ts";
import type { Figure } from "../../lib/figures.ts";

/** What a bench of Kafka is given. */
export interface KafkaContext {
  /** A folder of this bench alone; removed after it. */
  folder: string;
  /** How many messages, for each measurement anew, in rising order: 100,000 and 1,000,000, or 20,000 where it is to be quick. */
  counts: readonly number[];
}

/** What a bench exports as `measure`. */
export type KafkaBench = Measure<KafkaContext, Figure[]>;

/** Of every topic. */
export const PARTITIONS = 4;

const ROUNDS = 3;

/** How often so many messages are measured: many of them make a median by themselves. */
export function roundsOf(count: number): number {
  return count > RANGE_MESSAGES ? 1 : ROUNDS;
}
