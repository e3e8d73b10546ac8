import { DatabaseSync } from "node:sqlite";

/** Payloads in one table, each call on the disk when it returns: the least that a durable broker does. */
export interface BareTopic {
  append(payloads: readonly Uint8Array[]): void;
  close(): void;
}

export function openBareTopic(file: string): BareTopic {
  const database = new DatabaseSync(file);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE message (sequence INTEGER PRIMARY KEY, payload BLOB)");
  const insert = database.prepare("INSERT INTO message (payload) VALUES (?)");
  return {
    append(payloads) {
      database.exec("BEGIN");
      for (const payload of payloads) insert.run(payload);
      database.exec("COMMIT");
    },
    close: () => database.close(),
  };
}
