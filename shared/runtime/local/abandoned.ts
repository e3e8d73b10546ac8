import { OPEN_STATES } from "../../core/ports/job-store.ts";
import type { Composition } from "../compose.ts";

const ITEMS_AT_ONCE = 100;

/**
 * Frees what an earlier host of this data folder had leased when it died, so that it goes on at once instead of when the leases end.
 * Only for who holds the folder's lock. Throws BrokerError, IndexError.
 */
export async function freeAbandoned({ embedded, jobs, items }: Composition): Promise<void> {
  await (await embedded()).endLeases();
  for (const { id } of await jobs.list({ states: OPEN_STATES, limit: 1_000 })) {
    for (const item of await items.list(id, { states: ["leased"], limit: ITEMS_AT_ONCE })) {
      await items.update(item, { ...item, state: "planned", leaseUntilMs: 0, notBeforeMs: 0 });
    }
  }
}
