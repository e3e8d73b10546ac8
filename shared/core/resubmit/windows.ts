import type { IndexRecord } from "../index-record.ts";

const MOST_CUT_SHARE = 6;

/**
 * How many of a window's records to plan now, so that as few objects as can be are cut by the window's end: each cut object is fetched twice.
 * The rest is read again with the next window. At least a sixth of the window is planned; `isLast` takes all of it.
 */
export function cutWindow(records: readonly IndexRecord[], isLast: boolean): number {
  if (isLast || records.length < 2) return records.length;
  const lastSeen = new Map<string, number>();
  for (const [i, record] of records.entries()) lastSeen.set(record.location_key, i);
  const open = new Set<string>();
  let best = records.length;
  let fewestCut = Number.POSITIVE_INFINITY;
  for (let i = 0; i < records.length; i++) {
    const key = (records[i] as IndexRecord).location_key;
    // The last record's object may go on behind the window, so it always counts as open.
    if (lastSeen.get(key) === i && i < records.length - 1) open.delete(key);
    else open.add(key);
    const planned = i + 1;
    if (planned * MOST_CUT_SHARE >= records.length && open.size <= fewestCut) {
      fewestCut = open.size;
      best = planned;
    }
  }
  return best;
}

/** Splits into runs of at most `maxEntries` and `maxBytes` of payload; records of one object that stand together stay together where they fit. */
export function splitRuns(records: readonly IndexRecord[], maxEntries: number, maxBytes: number): IndexRecord[][] {
  const runs: IndexRecord[][] = [];
  let run: IndexRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    if (run.length > 0 && (run.length >= maxEntries || bytes + record.payload_size > maxBytes)) {
      runs.push(run);
      run = [];
      bytes = 0;
    }
    run.push(record);
    bytes += record.payload_size;
  }
  if (run.length > 0) runs.push(run);
  return runs;
}

/** Records ordered object by object (objects in the order of their first record), each by position. */
export function groupByObject(records: readonly IndexRecord[]): IndexRecord[] {
  const groups = Map.groupBy(records, ({ store, location_key }) => `${store}\n${location_key}`);
  return [...groups.values()].flatMap((group) => group.sort((a, b) => a.location_position - b.location_position));
}
