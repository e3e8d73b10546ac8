import { type ErrorCode, errorText, IndexError, PersistorError } from "../../../core/errors.ts";

/** Codes of the two databases when they cannot be used. */
export type DatabaseCode = Extract<ErrorCode, "index_unavailable" | "job_store_unavailable">;

/** SQLite's primary result codes (https://www.sqlite.org/rescode.html) for which there is something to advise. */
const REMEDIES: Readonly<Record<number, string>> = {
  3: "give the process the right to use the data folder",
  5: "another process holds the database; stop it, the call can be repeated",
  7: "give the process more memory",
  8: "give the process the right to write the data folder",
  10: "check the disk that holds the data folder",
  11: "restore the file, or remove it and build the index again from the stored objects",
  13: "free space on the disk, the call can be repeated",
  14: "check that the data folder exists and may be written",
  26: "move the file away; it is no database",
};

/** The error of a failed database call, `action` in the gerund ("upserting 20 records into orders"); errors made on purpose stay as they are. */
export function databaseError(action: string, code: DatabaseCode, cause: unknown): PersistorError {
  if (cause instanceof PersistorError) return cause;
  const remedy = REMEDIES[primaryCode(cause)] ?? "see the message before; the call can be repeated";
  return new IndexError(code, `${action}: ${errorText(cause)}; ${remedy}`, { retryable: true, cause });
}

/** What came out of a worker, as the error that the ports promise. */
export function portError(error: unknown, code: DatabaseCode): IndexError {
  if (error instanceof IndexError) return error;
  if (error instanceof PersistorError) return new IndexError(error.code, error.message, { retryable: error.retryable, cause: error.cause });
  return new IndexError(code, `calling the database: ${errorText(error)}; the call can be repeated`, { retryable: true, cause: error });
}

function primaryCode(error: unknown): number {
  const code = error instanceof Error && "errcode" in error ? error.errcode : undefined;
  return typeof code === "number" ? code & 0xff : -1;
}
