import { BrokerError, errorText, PersistorError } from "../../../core/errors.ts";

/** SQLite's primary result codes that have a remedy of their own. */
const REMEDIES: Readonly<Record<number, string>> = {
  5: "another process holds the database too long; end it or wait, the call may be repeated",
  8: "the database is read-only; give the process write access to the data folder",
  10: "the disk failed; look at the system's log, the call may be repeated",
  11: "the database is damaged; restore broker.db from a copy",
  13: "the disk is full; free space, the call may be repeated",
  14: "the file cannot be opened; give the process write access to the data folder",
  26: "broker.db is no database; move it away or restore it from a copy",
};

/** A fault of SQLite or of the file system as BrokerError `broker_unavailable`; our own errors as they are. */
export function brokerErrorOf(error: unknown, doing: string): BrokerError {
  if (error instanceof BrokerError) return error;
  if (error instanceof PersistorError) return new BrokerError(error.code, error.message, { retryable: error.retryable, cause: error });
  const code = (error as { errcode?: unknown }).errcode;
  const remedy = typeof code === "number" ? REMEDIES[code & 0xff] : undefined;
  return new BrokerError("broker_unavailable", `${doing}: ${errorText(error)}${remedy ? `; ${remedy}` : ""}`, {
    retryable: true,
    cause: error,
  });
}

/** Runs `work`; what it throws becomes a BrokerError. */
export function mappingErrors<T>(doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw brokerErrorOf(error, doing);
  }
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9\-_.~+%]{0,254}$/;

/** Refuses what is no name of a topic or subscription. Throws BrokerError `refused`. */
export function checkName(what: "topic" | "subscription", name: string): void {
  if (NAME.test(name)) return;
  const rule = "1 to 255 letters, digits or -_.~+%, the first a letter or digit";
  throw new BrokerError("refused", `naming a ${what} ${JSON.stringify(name.slice(0, 80))}: not a name; use ${rule}`);
}
