import { DatabaseSync } from "node:sqlite";
import { type DatabaseCode, databaseError } from "./errors.ts";
import { BUSY_TIMEOUT_MS, PAGE_BYTES, WAL_AUTOCHECKPOINT_PAGES } from "./settings.ts";

export interface DatabaseOptions {
  path: string;
  /** FULL: a commit waits for the disk. NORMAL: it survives a kill of the process, not always a power cut; the file stays sound. */
  synchronous: "FULL" | "NORMAL";
  cacheKib: number;
  /** Raised when the schema changes; a file of another version is refused. */
  schemaVersion: number;
  /** Statements that make the schema in an empty file. */
  schema: string;
  unavailable: DatabaseCode;
}

/** Opens a database in WAL mode, made with its schema where it is new. Throws IndexError of code `unavailable`. */
export function openDatabase(options: DatabaseOptions): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(options.path, { timeout: BUSY_TIMEOUT_MS });
    database.exec(`PRAGMA page_size = ${PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = ${options.synchronous};
      PRAGMA cache_size = -${options.cacheKib}; PRAGMA wal_autocheckpoint = ${WAL_AUTOCHECKPOINT_PAGES}; PRAGMA temp_store = MEMORY;`);
    makeSchema(database, options);
    return database;
  } catch (error) {
    database?.close();
    throw databaseError(`opening the database ${options.path}`, options.unavailable, error);
  }
}

function makeSchema(database: DatabaseSync, { schema, schemaVersion, path }: DatabaseOptions): void {
  transaction(database, () => {
    const found = database.prepare("PRAGMA user_version").get()?.["user_version"];
    if (found === schemaVersion) return;
    if (found !== 0) throw new Error(`${path} has schema version ${found}, this program knows ${schemaVersion}`);
    database.exec(schema);
    database.exec(`PRAGMA user_version = ${schemaVersion}`);
  });
}

/** Runs `work` in one write transaction: all of it is kept, or nothing. */
export function transaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    // A full disk ends the transaction by itself.
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}
