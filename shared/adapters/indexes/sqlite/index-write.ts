import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { sequenceRankOf } from "../../../core/filter/order.ts";
import type { IndexRecord } from "../../../core/index-record.ts";
import type { UpsertResult } from "../../../core/ports/metadata-index.ts";
import { createAttributeRows } from "./attribute-rows.ts";
import { transaction } from "./database.ts";
import { MAX_COMMIT_RECORDS } from "./settings.ts";

/** One caller's records: JSON lists, in slices. */
export interface UpsertCall {
  collection: string;
  slices: readonly string[];
}

export interface IndexWriter {
  /** Stores the records of all calls in one transaction; results by position. */
  upsert(calls: readonly UpsertCall[]): UpsertResult[];
}

const RECORD_COLUMNS = `id, collection, unique_id, broker_id, broker_msg_id, ordering_key, business_source_key, business_object_key,
  index_source_key, partition, sequence, sequence_text, object, location_position, block_offset, block_length, block_position, codec,
  format_version, payload_size, content_type, digest, publish_time, ingestion_time, indexer_ingestion_time, attributes, truncated_attributes`;

const CONFLICT_DIGEST_LENGTH = 16;
const MAX_CACHED_OBJECTS = 10_000;

export function createIndexWriter(database: DatabaseSync): IndexWriter {
  const attributes = createAttributeRows(database);
  const collections = collectionIds(database);
  const objects = objectIds(database);
  const insertRecord = recordInserter(database);
  const maxId = database.prepare("SELECT coalesce(max(id), 0) AS id FROM record");
  const addRecords = database.prepare("UPDATE collection SET records = records + ? WHERE id = ?");

  const upsertCall = (call: UpsertCall): UpsertResult => {
    const collection = collections.idOf(call.collection);
    const result: UpsertResult = { inserted: 0, existed: 0, conflicts: [] };
    const firstId = maxId.get()?.["id"] as number;
    let id = firstId;
    let gathered = 0;
    for (const slice of call.slices) {
      for (const record of JSON.parse(slice) as IndexRecord[]) {
        const kept = insertRecord(id + 1, collection, objects.idOf(collection, record), record, result);
        if (!kept) continue;
        attributes.add(collection, ++id, record);
        if (++gathered % MAX_COMMIT_RECORDS === 0) attributes.flush();
      }
    }
    attributes.flush();
    if (id > firstId) addRecords.run(id - firstId, collection);
    return result;
  };

  return {
    upsert(calls) {
      try {
        return transaction(database, () => calls.map(upsertCall));
      } catch (error) {
        attributes.reset();
        collections.reset();
        objects.reset();
        throw error;
      }
    },
  };
}

/** Stores a record unless it is there, under a name of its own where it is there with another digest; true where a row was made. */
function recordInserter(database: DatabaseSync) {
  const placeholders = RECORD_COLUMNS.split(",").map(() => "?");
  const insert = database.prepare(
    `INSERT INTO record (${RECORD_COLUMNS}) VALUES (${placeholders}) ON CONFLICT (collection, unique_id) DO NOTHING`,
  );
  const digestOf = database.prepare("SELECT digest FROM record WHERE collection = ? AND unique_id = ?");
  return (id: number, collection: number, object: number, record: IndexRecord, result: UpsertResult): boolean => {
    if (insert.run(...recordCells(id, collection, object, record, record.unique_id)).changes === 1) {
      result.inserted++;
      return true;
    }
    if (digestOf.get(collection, record.unique_id)?.["digest"] === record.digest) {
      result.existed++;
      return false;
    }
    result.conflicts.push(record.unique_id);
    const otherId = `${record.unique_id}#${record.digest.slice(0, CONFLICT_DIGEST_LENGTH)}`;
    return insert.run(...recordCells(id, collection, object, record, otherId)).changes === 1;
  };
}

function recordCells(id: number, collection: number, object: number, record: IndexRecord, uniqueId: string): SQLInputValue[] {
  const { sequence } = record;
  return [
    id,
    collection,
    uniqueId,
    record.broker_id,
    record.broker_msg_id,
    record.ordering_key ?? null,
    record.business_source_key ?? null,
    record.business_object_key ?? null,
    record.index_source_key ?? null,
    record.partition ?? null,
    typeof sequence === "string" ? sequenceRankOf(record) : (sequence ?? null),
    typeof sequence === "string" ? sequence : null,
    object,
    record.location_position,
    record.block_offset,
    record.block_length,
    record.block_position,
    record.codec,
    record.format_version,
    record.payload_size,
    record.content_type ?? null,
    record.digest,
    record.publish_time,
    record.ingestion_time,
    record.indexer_ingestion_time,
    JSON.stringify(record.attributes),
    record.truncated_attributes ? JSON.stringify(record.truncated_attributes) : null,
  ];
}

function collectionIds(database: DatabaseSync) {
  const insert = database.prepare("INSERT INTO collection (name) VALUES (?) ON CONFLICT DO NOTHING");
  const select = database.prepare("SELECT id FROM collection WHERE name = ?");
  const cached = new Map<string, number>();
  return {
    idOf(name: string): number {
      const known = cached.get(name);
      if (known !== undefined) return known;
      insert.run(name);
      const id = select.get(name)?.["id"] as number;
      cached.set(name, id);
      return id;
    },
    reset: () => cached.clear(),
  };
}

function objectIds(database: DatabaseSync) {
  const insert = database.prepare("INSERT INTO object (collection, location_key, store) VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
  const select = database.prepare("SELECT id FROM object WHERE collection = ? AND location_key = ? AND store = ?");
  const cached = new Map<string, number>();
  return {
    idOf(collection: number, { location_key, store }: IndexRecord): number {
      const cacheKey = JSON.stringify([collection, location_key, store]);
      const known = cached.get(cacheKey);
      if (known !== undefined) return known;
      insert.run(collection, location_key, store);
      const id = select.get(collection, location_key, store)?.["id"] as number;
      if (cached.size >= MAX_CACHED_OBJECTS) cached.clear();
      cached.set(cacheKey, id);
      return id;
    },
    reset: () => cached.clear(),
  };
}
