import type { Database } from "./database.ts";
import { type Gathering, type MessageRow, messagesBetween, moveCursor, noteRun, offer } from "./gathering.ts";
import { allRanges, endLapsedLeases } from "./ranges.ts";
import { handOverAgain } from "./redelivering.ts";

/** Past this many unsettled runs an ordered subscription hands over nothing new: a blocked key holds up to so many messages aside. */
const MAX_OUTSTANDING = 10_000;

/**
 * Gathers for an ordered subscription: of each key, only what has no earlier message that is still in other hands or waiting.
 * Within one call several messages of a key may come, in their order.
 */
export function gatherOrdered(db: Database, gathering: Gathering): void {
  const { subscription, nowMs } = gathering;
  endLapsedLeases(db, subscription.id, nowMs);
  const blocked = new Set<string>();
  const ranges = allRanges(db, subscription.id);
  for (const range of ranges) {
    if (gathering.full) return;
    const key = range.ordering_key && keyText(range.ordering_key);
    const mayGo = range.leased === 0 && range.until_ms <= nowMs && !(key !== null && blocked.has(key));
    if (mayGo) handOverAgain(db, gathering, range);
    // What did not fit, too, holds up the later ones of its key.
    const isHandedOver = mayGo && !gathering.full;
    if (key !== null && !isHandedOver) blocked.add(key);
  }
  if (!gathering.full) takeFresh(db, gathering, blocked, MAX_OUTSTANDING - ranges.length);
}

interface Run {
  first: number;
  last: number;
  count: number;
  ordering_key: Uint8Array | null;
}

function takeFresh(db: Database, gathering: Gathering, blocked: ReadonlySet<string>, maxRuns: number): void {
  const { subscription } = gathering;
  let run: Run | undefined;
  let runs = 0;
  const endRun = () => {
    if (run) noteRun(db, gathering, run, true);
    run = undefined;
  };
  let cursor = subscription.cursor;
  for (const row of freshMessages(db, gathering)) {
    if (runs >= maxRuns || gathering.full) break;
    const [sequence, , , key] = row;
    const isBlocked = key !== null && blocked.has(keyText(key));
    if (!isBlocked && !offer(gathering, row, 1)) break;
    if (key === null && run) {
      run.last = sequence;
      run.count++;
    } else {
      endRun();
      runs++;
      const single: Run = { first: sequence, last: sequence, count: 1, ordering_key: key };
      if (key === null) run = single;
      else noteRun(db, gathering, single, !isBlocked);
    }
    cursor = sequence;
  }
  endRun();
  moveCursor(db, subscription, cursor);
}

function freshMessages(db: Database, { subscription }: Gathering): Iterable<MessageRow> {
  return messagesBetween(db, subscription.topic, subscription.cursor + 1, Number.MAX_SAFE_INTEGER);
}

/** One character per byte, so that any key works as a member of a Set. */
function keyText(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
}
