import type { DatabaseSync } from "node:sqlite";
import type { IndexedValue, IndexRecord } from "../../../core/index-record.ts";
import type { IndexPosition } from "../../../core/ports/metadata-index.ts";
import { JSON_SLICE_RECORDS } from "./settings.ts";

/** Records on their way from the worker: JSON lists of rows, in slices, and the objects that the rows name by id. */
export interface Rows {
  count: number;
  slices: string[];
  objects: Record<number, RowObject>;
  /** Where to go on for the rest of what was asked; absent where there is none. */
  next?: IndexPosition;
}

interface RowObject {
  store: string;
  location_key: string;
}

/**
 * A record as one JSON text made by SQLite, and its object's id. Measured on pages of 20,000, this takes a third of what reading columns and
 * writing JSON from them takes.
 */
export const ROW_COLUMNS = rowColumns("r.attributes", "coalesce(r.truncated_attributes, 'null')");

/** The same without attributes. */
export const PLACE_COLUMNS = rowColumns("'[]'", "'null'");

function rowColumns(attributes: string, truncated: string): string {
  return `'[' || json_array(r.unique_id, r.broker_id, r.broker_msg_id, r.ordering_key, r.business_source_key, r.business_object_key,
  r.index_source_key, r.partition, coalesce(r.sequence_text, r.sequence), r.object, r.location_position, r.block_offset, r.block_length,
  r.block_position, r.codec, r.format_version, r.payload_size, r.content_type, r.digest, r.publish_time, r.ingestion_time,
  r.indexer_ingestion_time) || ',' || ${attributes} || ',' || ${truncated} || ']' AS json, r.object AS object`;
}

type Optional<T> = T | null;

type Row = [
  fields: [
    uniqueId: string,
    brokerId: string,
    brokerMsgId: string,
    orderingKey: Optional<string>,
    businessSourceKey: Optional<string>,
    businessObjectKey: Optional<string>,
    indexSourceKey: Optional<string>,
    partition: Optional<string>,
    sequence: Optional<string | number>,
    object: number,
    locationPosition: number,
    blockOffset: number,
    blockLength: number,
    blockPosition: number,
    codec: string,
    formatVersion: number,
    payloadSize: number,
    contentType: Optional<string>,
    digest: string,
    publishTime: number,
    ingestionTime: number,
    indexerIngestionTime: number,
  ],
  attributes: [string, IndexedValue][],
  truncated: Optional<string[]>,
];

const MAX_CACHED_OBJECTS = 10_000;

/** Packs what `ROW_COLUMNS` selected. */
export function createRowReader(database: DatabaseSync) {
  const select = database.prepare("SELECT store, location_key FROM object WHERE id = ?");
  const cached = new Map<number, RowObject>();
  const objectOf = (id: number): RowObject => {
    const object = cached.get(id) ?? (select.get(id) as unknown as RowObject);
    if (cached.size >= MAX_CACHED_OBJECTS) cached.clear();
    cached.set(id, object);
    return object;
  };
  return {
    /** The record of one row. */
    recordOf: (json: string, object: number): IndexRecord => recordOf(JSON.parse(json) as Row, { [object]: objectOf(object) }),
    of(selected: readonly [json: string, object: number][]): Rows {
      const rows: Rows = { count: selected.length, slices: [], objects: {} };
      for (let i = 0; i < selected.length; i += JSON_SLICE_RECORDS) {
        const slice = selected.slice(i, i + JSON_SLICE_RECORDS);
        rows.slices.push(`[${slice.map(([json]) => json).join(",")}]`);
        for (const [, object] of slice) rows.objects[object] ??= { ...objectOf(object) };
      }
      return rows;
    },
  };
}

/** The records of one slice. */
export function recordsOf(slice: string, objects: Rows["objects"]): IndexRecord[] {
  return (JSON.parse(slice) as Row[]).map((row) => recordOf(row, objects));
}

function recordOf([fields, attributes, truncated]: Row, objects: Rows["objects"]): IndexRecord {
  const [
    uniqueId,
    brokerId,
    brokerMsgId,
    orderingKey,
    businessSourceKey,
    businessObjectKey,
    indexSourceKey,
    partition,
    sequence,
    object,
    ...rest
  ] = fields;
  const { store, location_key } = objects[object] as RowObject;
  const record: IndexRecord = {
    unique_id: uniqueId,
    broker_id: brokerId,
    broker_msg_id: brokerMsgId,
    store,
    location_key,
    location_position: rest[0],
    block_offset: rest[1],
    block_length: rest[2],
    block_position: rest[3],
    codec: rest[4],
    format_version: rest[5],
    payload_size: rest[6],
    digest: rest[8],
    publish_time: rest[9],
    ingestion_time: rest[10],
    indexer_ingestion_time: rest[11],
    attributes,
  };
  if (orderingKey !== null) record.ordering_key = orderingKey;
  if (businessSourceKey !== null) record.business_source_key = businessSourceKey;
  if (businessObjectKey !== null) record.business_object_key = businessObjectKey;
  if (indexSourceKey !== null) record.index_source_key = indexSourceKey;
  if (partition !== null) record.partition = partition;
  if (sequence !== null) record.sequence = sequence;
  if (rest[7] !== null) record.content_type = rest[7];
  if (truncated !== null) record.truncated_attributes = truncated;
  return record;
}
