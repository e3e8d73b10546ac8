import { MongoBulkWriteError, MongoError, MongoNetworkError, MongoServerError, MongoServerSelectionError } from "mongodb";
import { type ErrorCode, errorText, IndexError, PersistorError } from "../../../core/errors.ts";

/** Codes of the two databases when they cannot be used. */
export type DatabaseCode = Extract<ErrorCode, "index_unavailable" | "job_store_unavailable">;

/** The server's code of a write whose `_id`, or other unique key, is there already. */
export const DUPLICATE_KEY = 11000;

const CREDENTIALS = "correct user and password in PERSISTOR_MONGODB_URI, and give the user the role readWrite on the database";
const REACH =
  "check that the server runs, may be reached from here and is the one that PERSISTOR_MONGODB_URI names; the call can be repeated";
const PRIMARY = "the server takes no writes now (it starts, stops, or another takes over); the call can be repeated";
const SPACE = "give the database more space; the call can be repeated";
const LOAD = "the database has too much to do; give it more resources, the call can be repeated";
const SIZE = "a document or command is larger than the database takes; send fewer or smaller attributes";
const UNSUPPORTED = "this server lacks the command; use MongoDB 5 or later, or Azure DocumentDB";
const OTHER_INDEX = "an index of the same name but of another form is there; drop it";

/** Codes of the server (https://www.mongodb.com/docs/manual/reference/error-codes/) for which there is something to advise. */
const REMEDIES: Readonly<Record<number, string>> = {
  13: CREDENTIALS,
  18: CREDENTIALS,
  8000: CREDENTIALS,
  59: UNSUPPORTED,
  115: UNSUPPORTED,
  238: UNSUPPORTED,
  50: LOAD,
  202: LOAD,
  262: LOAD,
  16500: LOAD,
  85: OTHER_INDEX,
  86: OTHER_INDEX,
  91: PRIMARY,
  189: PRIMARY,
  10058: PRIMARY,
  10107: PRIMARY,
  11600: PRIMARY,
  11602: PRIMARY,
  13435: PRIMARY,
  13436: PRIMARY,
  14031: SPACE,
  10334: SIZE,
  17280: SIZE,
  17419: SIZE,
  17420: SIZE,
};

const MAX_TEXT_LENGTH = 500;

/** The error of a failed database call, `action` in the gerund ("upserting 20 records into orders"); errors made on purpose stay as they are. */
export function databaseError(action: string, code: DatabaseCode, error: unknown): PersistorError {
  if (error instanceof PersistorError) return error;
  const cause = slimCause(error);
  const remedy = remedyOf(error);
  // What is too large stays so.
  return new IndexError(code, `${action}: ${cause.message}; ${remedy}`, { retryable: remedy !== SIZE, cause });
}

/** `work`, its errors as `databaseError` makes them. */
export async function guarded<T>(action: string, code: DatabaseCode, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw databaseError(action, code, error);
  }
}

/** The server's code of an error, or of the first failed write; undefined where no server answered. */
export function serverCode(error: unknown): number | undefined {
  const origin = originOf(error);
  const code = origin instanceof MongoServerError ? origin.code : undefined;
  return typeof code === "number" ? code : undefined;
}

/** Whether the same call may work at once: the connection broke, or another server took over. A server not found was waited for already. */
function isTransient(error: unknown): boolean {
  const origin = originOf(error);
  if (origin instanceof MongoServerSelectionError || !(origin instanceof MongoError)) return false;
  if (origin instanceof MongoNetworkError || origin.hasErrorLabel("RetryableWriteError")) return true;
  return REMEDIES[serverCode(error) ?? -1] === PRIMARY;
}

/** `work`, once more where a fault passed that needs no waiting. Reads and upserts can be repeated. */
export async function repeatedOnce<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isTransient(error)) throw error;
    return work();
  }
}

/** Whether the server has no index of the name that a hint gave, or none that answers the question. */
export function isHintRefused(error: unknown): boolean {
  return serverCode(error) !== undefined && /\bhint\b|index not found|no query solutions/i.test(errorText(error));
}

function remedyOf(error: unknown): string {
  const origin = originOf(error);
  if (origin instanceof MongoServerSelectionError || origin instanceof MongoNetworkError) return REACH;
  if (error instanceof RangeError || /larger than the maximum/.test(errorText(error))) return SIZE;
  // Atlas has one code for all that it adds itself.
  if (/space quota/.test(errorText(error))) return SPACE;
  return REMEDIES[serverCode(error) ?? -1] ?? "see the message before; the call can be repeated";
}

/** A bulk write wraps what is no answer of the server, such as a broken connection. */
function originOf(error: unknown): unknown {
  const wrapped: unknown = error instanceof MongoBulkWriteError ? error.errorResponse : undefined;
  return wrapped instanceof Error ? wrapped : error;
}

/** Only name and text: the driver's errors carry whole documents and the server's answers, which do not belong in a log. */
function slimCause(error: unknown): Error {
  const origin = originOf(error);
  const slim = new Error(redacted(errorText(origin)));
  if (origin instanceof Error) slim.name = origin.name;
  return slim;
}

function redacted(text: string): string {
  const plain = text.replace(/mongodb(\+srv)?:\/\/\S+/gi, "mongodb://(secret)");
  return plain.length > MAX_TEXT_LENGTH ? `${plain.slice(0, MAX_TEXT_LENGTH)}…` : plain;
}
