import { COMPRESSION_BITS, CONTROL, type RecordBatch, TRANSACTIONAL } from "../records/batch.ts";
import { decompressRecords } from "../records/compression.ts";
import { RecordReader } from "../records/reading.ts";

/** A transaction that was aborted: every record of the producer from its first offset to its abort marker. */
export interface AbortedTransaction {
  producerId: bigint;
  firstOffset: number;
}

const ABORT_MARKER = 0;

/**
 * Tells, batch by batch in the order of the log, which ones hold messages for a consumer: markers do not, nor do the records of aborted
 * transactions. `aborted` is what the fetch said of those that reach into it.
 */
export function createTransactionFilter(aborted: readonly AbortedTransaction[]): (batch: RecordBatch) => boolean {
  const waiting = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset);
  const open = new Set<bigint>();
  return (batch) => {
    while (waiting[0] && waiting[0].firstOffset < batch.endOffset) open.add((waiting.shift() as AbortedTransaction).producerId);
    if ((batch.attributes & CONTROL) !== 0) {
      if (isAbortMarker(batch)) open.delete(batch.producerId);
      return false;
    }
    return (batch.attributes & TRANSACTIONAL) === 0 || !open.has(batch.producerId);
  };
}

/** The marker's key: version and type, 16 bits each. */
function isAbortMarker({ attributes, records, recordCount }: RecordBatch): boolean {
  if (recordCount === 0) return false;
  const reader = new RecordReader(decompressRecords(attributes & COMPRESSION_BITS, records));
  reader.begin();
  reader.long();
  reader.int();
  const key = reader.bytes();
  return key !== null && key.length >= 4 && key.readInt16BE(2) === ABORT_MARKER;
}
