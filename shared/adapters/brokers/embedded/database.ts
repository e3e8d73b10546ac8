import { DatabaseSync, type StatementSync } from "node:sqlite";

const SCHEMA_VERSION = 1;
const PAGE_BYTES = 8192;
const CACHE_KIB = 8 * 1024;
/** The write-ahead log is moved into the file at about this size, and cut to it. */
const LOG_BYTES = 32 * 1024 * 1024;
const BUSY_TIMEOUT_MS = 10_000;

/*
 * `messages` is append-only but for deletion from behind. Of a subscription, `cursor` is the last sequence that was ever taken up; of all up to it
 * only what is not settled has a row in `outstanding`: a run of `count` messages of the topic that lie between `first` and `last` and share their state.
 */
const SCHEMA = `
CREATE TABLE broker (id INTEGER PRIMARY KEY CHECK (id = 1), last_sequence INTEGER NOT NULL);
INSERT INTO broker VALUES (1, 0);
CREATE TABLE topics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, retained INTEGER NOT NULL, last_time_ms INTEGER NOT NULL);
CREATE TABLE subscriptions (
  id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, name TEXT NOT NULL, cursor INTEGER NOT NULL, lease_ms INTEGER NOT NULL,
  max_attempts INTEGER, dead_letter_topic TEXT, ordered INTEGER NOT NULL, durable INTEGER NOT NULL, UNIQUE (topic, name));
CREATE TABLE messages (
  sequence INTEGER PRIMARY KEY, topic INTEGER NOT NULL, time_ms INTEGER NOT NULL, size INTEGER NOT NULL, ordering_key BLOB, content BLOB NOT NULL);
CREATE INDEX messages_of_topic ON messages (topic);
CREATE TABLE outstanding (
  subscription INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL, attempt INTEGER NOT NULL,
  spared INTEGER NOT NULL, leased INTEGER NOT NULL, until_ms INTEGER NOT NULL, ordering_key BLOB, PRIMARY KEY (subscription, first)) WITHOUT ROWID;
CREATE INDEX outstanding_due ON outstanding (subscription, leased, until_ms);
CREATE INDEX outstanding_of_key ON outstanding (subscription, ordering_key, first) WHERE ordering_key IS NOT NULL;
PRAGMA user_version = ${SCHEMA_VERSION};
`;

/** `durable` survives a power failure; `volatile` only the end of the process. Neither is ever seen in part. */
export type Durability = "durable" | "volatile";

/** The broker's file, opened. */
export interface Database {
  /** The prepared statement of `sql`, made once. */
  statement(sql: string): StatementSync;
  /** Runs `work` as one transaction; what it throws undoes it. */
  atomically<T>(durability: Durability, work: () => T): T;
  close(): void;
}

/** Opens the broker's file, or makes it. Throws what SQLite throws. */
export function openDatabase(file: string): Database {
  const db = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
  db.exec(`PRAGMA page_size = ${PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -${CACHE_KIB};
    PRAGMA wal_autocheckpoint = ${LOG_BYTES / PAGE_BYTES}; PRAGMA journal_size_limit = ${LOG_BYTES}; PRAGMA temp_store = MEMORY`);
  const statements = new Map<string, StatementSync>();
  let durability: Durability = "durable";

  const database: Database = {
    statement(sql) {
      let statement = statements.get(sql);
      if (!statement) {
        statement = db.prepare(sql);
        statements.set(sql, statement);
      }
      return statement;
    },
    atomically(wanted, work) {
      if (wanted !== durability) {
        db.exec(`PRAGMA synchronous = ${wanted === "durable" ? "FULL" : "NORMAL"}`);
        durability = wanted;
      }
      db.exec("BEGIN IMMEDIATE");
      try {
        const result = work();
        db.exec("COMMIT");
        return result;
      } catch (error) {
        if (db.isTransaction) db.exec("ROLLBACK");
        throw error;
      }
    },
    close: () => db.close(),
  };
  database.atomically("durable", () => createSchema(db));
  return database;
}

function createSchema(db: DatabaseSync): void {
  const { user_version: version } = db.prepare("PRAGMA user_version").get() as { user_version: number };
  if (version === SCHEMA_VERSION) return;
  if (version !== 0) throw new Error(`opening broker.db: its layout ${version} is unknown; use the version of Persistor that wrote it`);
  db.exec(SCHEMA);
}
