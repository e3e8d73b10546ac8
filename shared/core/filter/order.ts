import type { IndexRecord } from "../index-record.ts";
import type { IndexPosition } from "../ports/metadata-index.ts";
import { compareUtf8 } from "../text.ts";

/** Stands in the order for records without a sequence, and for one whose text is no 64-bit integer. */
const NO_SEQUENCE_RANK = -1n;
const MIN_SEQUENCE = -(2n ** 63n);
const MAX_SEQUENCE = 2n ** 63n - 1n;

type Ordered = Pick<IndexRecord, "unique_id" | "publish_time" | "ordering_key" | "partition" | "sequence">;

/** What `source` order sorts by first: the ordering key, or else the partition, or else nothing. */
export function sourceKeyOf(record: Ordered): string {
  return record.ordering_key ?? record.partition ?? "";
}

/** What `source` order sorts by next: the sequence as a number, -1 where there is none. */
export function sequenceRankOf({ sequence }: Ordered): bigint {
  if (typeof sequence === "number" && Number.isSafeInteger(sequence)) return BigInt(sequence);
  if (typeof sequence !== "string" || !/^-?\d{1,19}$/.test(sequence)) return NO_SEQUENCE_RANK;
  const rank = BigInt(sequence);
  return rank >= MIN_SEQUENCE && rank <= MAX_SEQUENCE ? rank : NO_SEQUENCE_RANK;
}

/** The position behind `record` in `order`: given as `after`, a search goes on with the record that follows. */
export function positionOf(record: Ordered, order: IndexPosition["order"]): IndexPosition {
  const { publish_time, unique_id } = record;
  if (order === "publish") return { order, publish_time, unique_id };
  return { order, source_key: sourceKeyOf(record), sequence: sequenceRankOf(record).toString(), publish_time, unique_id };
}

/** Compares two records in `order`, as for `Array.prototype.sort`: what every index sorts like. */
export function compareRecords(a: Ordered, b: Ordered, order: IndexPosition["order"]): number {
  if (order === "source") {
    const keys = compareUtf8(sourceKeyOf(a), sourceKeyOf(b));
    if (keys !== 0) return keys;
    const ranks = sequenceRankOf(a) - sequenceRankOf(b);
    if (ranks !== 0n) return ranks < 0n ? -1 : 1;
  }
  return a.publish_time - b.publish_time || compareUtf8(a.unique_id, b.unique_id);
}
