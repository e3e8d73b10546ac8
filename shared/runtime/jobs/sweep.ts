import { OPEN_STATES } from "../../core/ports/job-store.ts";
import type { Composition } from "../compose.ts";
import type { JobDriver } from "./driver.ts";

const JOBS_SWEPT = 1_000;

/** Hands over the open jobs of which no work item is under a living lease; returns how many those are. */
export async function sweep({ jobs, items, clock }: Composition, driver: JobDriver): Promise<number> {
  let count = 0;
  for (const { id } of await jobs.list({ states: OPEN_STATES, limit: JOBS_SWEPT })) {
    const leased = await items.list(id, { states: ["leased"], limit: 100 });
    if (leased.some(({ leaseUntilMs }) => leaseUntilMs > clock.nowMs())) continue;
    await driver.start(id);
    count++;
  }
  return count;
}
