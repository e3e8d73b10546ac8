import { DatabaseSync } from "node:sqlite";
import type { IndexRecord } from "../../shared/core/index-record.ts";

const COLUMNS = `unique_id, broker_id, broker_msg_id, index_source_key, sequence, store, location_key, location_position, block_offset, block_length,
  block_position, codec, format_version, payload_size, content_type, digest, publish_time, ingestion_time, indexer_ingestion_time`;
const ATTRIBUTES = ["origin", "destination", "delay", "distance", "date"] as const;

/** Index records in one plain table with its primary key: the least that a database does with them. */
export interface BareTable {
  database: DatabaseSync;
  /** Inserts the records in one transaction. */
  insert(records: readonly IndexRecord[]): void;
}

export function openBareTable(file: string): BareTable {
  const database = new DatabaseSync(file);
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536;
    CREATE TABLE IF NOT EXISTS record (${COLUMNS}, ${ATTRIBUTES.join(", ")}, PRIMARY KEY (unique_id)) WITHOUT ROWID`);
  const names = `${COLUMNS}, ${ATTRIBUTES.join(", ")}`.split(",").map((name) => name.trim());
  const insert = database.prepare(`INSERT INTO record VALUES (${names.map(() => "?").join(", ")})`);
  const fields = names.slice(0, -ATTRIBUTES.length) as (keyof IndexRecord)[];
  return {
    database,
    insert(records) {
      database.exec("BEGIN");
      for (const record of records) {
        const cells = fields.map((field) => record[field] as string | number);
        for (const [, value] of record.attributes) cells.push(value as string);
        insert.run(...cells);
      }
      database.exec("COMMIT");
    },
  };
}
