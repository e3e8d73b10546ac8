import { release } from "../avro/codec.ts";
import { type Codec, FORMAT_VERSION, readBlock, readObject, readRecord } from "../avro/object-file.ts";
import type { StoredRecord } from "../avro/stored-record.ts";
import { mapConcurrently } from "../concurrency.ts";
import { errorText, isRetryable, PersistorError, StoreError } from "../errors.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { FailureReason } from "../ports/work-items.ts";
import { getRawObject, RAW_CODEC } from "../raw/raw-object.ts";
import type { WorkEntry } from "./entries.ts";

/** One entry's stored record, or why there is none. `retryable`: the next attempt may read it. */
export type Fetched =
  | { record: StoredRecord }
  | { failure: { reason: FailureReason; detail: string; retryable: boolean; fetched: boolean } };

const READS_AT_ONCE = 4;
/** Bytes of one ranged read; neighbouring blocks are read together up to it. */
const MAX_READ_BYTES = 4 * 1024 * 1024;
/** Blocks that are not wanted are read along where they are smaller than another request is worth. */
const MAX_GAP_BYTES = 64 * 1024;

/** Reads entries of one object, needed blocks only; results by position. Never throws for one object's sake. */
export async function fetchEntries(store: ObjectStore, entries: readonly WorkEntry[], brokerId: string): Promise<Fetched[]> {
  const [first] = entries;
  if (!first) return [];
  if (first.codec === RAW_CODEC)
    return mapConcurrently(entries, READS_AT_ONCE, (entry) =>
      guarded([entry], () => fetchRaw(store, entry)).then(([one]) => one as Fetched),
    );
  if (first.formatVersion !== FORMAT_VERSION) return guarded(entries, () => fetchWhole(store, entries, brokerId));
  const reads = planReads(entries);
  const results = new Array<Fetched>(entries.length);
  await mapConcurrently(reads, READS_AT_ONCE, async (read) => {
    const fetched = await guarded(
      read.rows.map((row) => entries[row] as WorkEntry),
      () => fetchBlocks(store, entries, read),
    );
    read.rows.forEach((row, i) => {
      results[row] = fetched[i] as Fetched;
    });
  });
  return results;
}

/** Blocks of one object that are read with one request; `rows` are the entries in them, block by block. */
interface Read {
  offset: number;
  length: number;
  blocks: { offset: number; length: number; rows: number[] }[];
  rows: number[];
}

function planReads(entries: readonly WorkEntry[]): Read[] {
  const rows = entries.map((_, row) => row);
  const blocks = [...Map.groupBy(rows, (row) => (entries[row] as WorkEntry).blockOffset).entries()].sort(([a], [b]) => a - b);
  const reads: Read[] = [];
  for (const [offset, blockRows] of blocks) {
    const length = (entries[blockRows[0] as number] as WorkEntry).blockLength;
    const last = reads.at(-1);
    const gap = last ? offset - (last.offset + last.length) : 0;
    if (last && gap >= 0 && gap <= MAX_GAP_BYTES && offset + length - last.offset <= MAX_READ_BYTES) {
      last.length = offset + length - last.offset;
      last.blocks.push({ offset, length, rows: blockRows });
      last.rows.push(...blockRows);
    } else {
      reads.push({ offset, length, blocks: [{ offset, length, rows: blockRows }], rows: [...blockRows] });
    }
  }
  return reads;
}

async function fetchBlocks(store: ObjectStore, entries: readonly WorkEntry[], read: Read): Promise<Fetched[]> {
  const { key, codec } = entries[read.rows[0] as number] as WorkEntry;
  const { bytes } = await store.get(key, { offset: read.offset, length: read.length });
  const perBlock = await mapConcurrently(read.blocks, READS_AT_ONCE, (block) => {
    const start = block.offset - read.offset;
    const slice = bytes.subarray(start, start + block.length);
    const wanted = block.rows.map((row) => entries[row] as WorkEntry);
    return guarded(wanted, () => decodeBlock(slice, codec as Codec, wanted));
  });
  // With codec `null` the messages are slices of what was read.
  if (codec !== "null") release(bytes);
  return perBlock.flat();
}

async function decodeBlock(bytes: Buffer, codec: Codec, wanted: readonly WorkEntry[]): Promise<Fetched[]> {
  if (wanted.length === 1) return [{ record: await readRecord(bytes, codec, (wanted[0] as WorkEntry).blockPosition) }];
  const records = await readBlock(bytes, codec);
  return wanted.map(({ blockPosition, key }) => found(records[blockPosition], key));
}

async function fetchRaw(store: ObjectStore, entry: WorkEntry): Promise<Fetched[]> {
  return [{ record: await getRawObject(store, entry.key) }];
}

/** Objects of another format have no block index: they are read from the start. */
async function fetchWhole(store: ObjectStore, entries: readonly WorkEntry[], brokerId: string): Promise<Fetched[]> {
  const { key } = entries[0] as WorkEntry;
  const { bytes } = await store.get(key);
  const wanted = new Set(entries.map(({ position }) => position));
  const records = new Map<number, StoredRecord>();
  for await (const block of readObject(bytes, { brokerId, pipeline: "", topic: "" })) {
    if ("fault" in block) continue;
    for (const { record, location } of block.records) {
      if (wanted.has(location.position)) records.set(location.position, record);
    }
  }
  return entries.map(({ position }) => found(records.get(position), key));
}

function found(record: StoredRecord | undefined, key: string): Fetched {
  if (record) return { record };
  return {
    failure: {
      reason: "deserialization_error",
      detail: `object ${key} has no readable record at that position`,
      retryable: false,
      fetched: true,
    },
  };
}

/** Turns what `read` throws into a failure of each of its entries. */
async function guarded(entries: readonly WorkEntry[], read: () => Promise<Fetched[]>): Promise<Fetched[]> {
  try {
    return await read();
  } catch (error) {
    const corrupt = error instanceof StoreError && error.code === "object_corrupt";
    const known = error instanceof PersistorError;
    const failure = {
      reason: corrupt ? ("deserialization_error" as const) : ("storage_error" as const),
      detail: known ? error.message : `reading object ${entries[0]?.key}: ${errorText(error)}`,
      retryable: isRetryable(error),
      fetched: corrupt,
    };
    return entries.map(() => ({ failure }));
  }
}
