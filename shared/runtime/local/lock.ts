import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { errorText, PersistorError } from "../../core/errors.ts";

/** Held while the process lives; the operating system lets go of it when the process dies, however it does. */
export interface HostLock {
  release(): void;
}

const FILE = "host.lock";

/**
 * Takes the data folder for this process alone, so that what an earlier host had leased can be taken for abandoned.
 * Throws PersistorError `settings_invalid` where another host has it.
 */
export function lockDataDir(dataDir: string): HostLock {
  const database = new DatabaseSync(join(dataDir, FILE));
  try {
    database.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  } catch (cause) {
    database.close();
    throw new PersistorError(
      "settings_invalid",
      `taking the data folder ${dataDir}: another Persistor uses it (${errorText(cause)}); stop that one, or set PERSISTOR_DATA_DIR to another folder`,
      { cause },
    );
  }
  return { release: () => database.close() };
}
