import type { StoredRecord } from "../avro/stored-record.ts";
import { contentSize } from "../message.ts";
import { type PathMask, pathOf } from "../object-name.ts";
import type { BatchLimits } from "../pipeline.ts";

/** Messages that go into one object, and where each stood in the input. */
export interface Batch {
  path: string;
  records: StoredRecord[];
  positions: number[];
  bytes: number;
}

export interface Positioned {
  record: StoredRecord;
  position: number;
}

/** Splits records by path, then by count and bytes; the order within a path is kept. */
export function splitIntoBatches(
  records: Iterable<Positioned>,
  mask: PathMask,
  limits: Pick<BatchLimits, "maxMessages" | "maxBytes">,
): Batch[] {
  const finished: Batch[] = [];
  const open = new Map<string, Batch>();
  for (const { record, position } of records) {
    const path = pathOf(mask, record.message);
    const bytes = contentSize(record.message);
    let batch = open.get(path);
    if (batch && (batch.records.length >= limits.maxMessages || batch.bytes + bytes > limits.maxBytes)) {
      finished.push(batch);
      batch = undefined;
    }
    if (!batch) {
      batch = { path, records: [], positions: [], bytes: 0 };
      open.set(path, batch);
    }
    batch.records.push(record);
    batch.positions.push(position);
    batch.bytes += bytes;
  }
  finished.push(...open.values());
  return finished;
}
