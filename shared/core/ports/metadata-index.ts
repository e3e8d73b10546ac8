import type { Filter } from "../filter/ast.ts";
import type { IndexRecord } from "../index-record.ts";

/** Where a page ended: the keyset of the order asked. Opaque to callers, made by `positionOf`. */
export type IndexPosition =
  | { order: "publish"; publish_time: number; unique_id: string }
  | { order: "source"; source_key: string; sequence: string; publish_time: number; unique_id: string };

/** What a record tells of a message's place, order, size and digest. */
export const PLACE_FIELDS = [
  "unique_id",
  "broker_id",
  "ordering_key",
  "partition",
  "sequence",
  "store",
  "location_key",
  "location_position",
  "block_offset",
  "block_length",
  "block_position",
  "codec",
  "format_version",
  "payload_size",
  "digest",
  "publish_time",
] as const satisfies readonly (keyof IndexRecord)[];

export interface FindOptions {
  filter: Filter;
  /** `publish`: publish time, unique id. `source`: ordering key or else partition, sequence, publish time, unique id. Ascending by UTF-8 bytes. */
  order: IndexPosition["order"];
  /** Only records behind this position. */
  after?: IndexPosition;
  /** Records to pass over; default 0. */
  offset?: number;
  limit: number;
  /**
   * For walks that only want places, at a fraction of the cost: the records have no attributes, and besides `PLACE_FIELDS` may lack any field.
   * Default false.
   */
  withoutAttributes?: boolean;
}

export interface UpsertResult {
  /** Records that were new. */
  inserted: number;
  /** Records that were there already with the same digest: the first location was kept. */
  existed: number;
  /** Unique ids that were there with another digest: kept as `<unique_id>#<16 hex of the digest>` (counted here even when that was there already). */
  conflicts: string[];
}

export interface IndexSummary {
  /** Start of the bucket, milliseconds; absent without buckets. */
  start?: number;
  /** Present with buckets. */
  broker_id?: string;
  count: number;
  /** Sum of `payload_size`. */
  bytes: number;
  first_publish_time?: number;
  last_publish_time?: number;
  /** Distinct objects; only without buckets. */
  objects?: number;
}

/**
 * Searchable home of index records, in named collections that come into being at their first upsert.
 * An unknown collection is empty. All methods throw IndexError `index_unavailable` (retryable) where the database cannot be used.
 */
export interface MetadataIndex {
  /** Stores records by `unique_id`, durably against a crash of the process; idempotent. The first location wins. */
  upsert(collection: string, records: readonly IndexRecord[]): Promise<UpsertResult>;
  /** The records of these ids that exist, in no order. At most 10,000 ids a call. */
  get(collection: string, ids: readonly string[]): Promise<IndexRecord[]>;
  find(collection: string, options: FindOptions): Promise<IndexRecord[]>;
  /** One summary of all records that match, or one per time bucket and broker id, ascending by both. */
  summarize(collection: string, filter: Filter, bucketMs?: number): Promise<IndexSummary[]>;
  close(): Promise<void>;
}
