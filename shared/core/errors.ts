/** What went wrong, as a closed list of stable codes: callers branch on these, never on the text. */
export type ErrorCode =
  | "invalid_input"
  | "undecodable"
  | "too_large"
  | "refused"
  | "unsupported"
  | "overloaded"
  | "aborted"
  | "store_unavailable"
  | "object_missing"
  | "object_corrupt"
  | "key_invalid"
  | "broker_unavailable"
  | "topic_missing"
  | "access_denied"
  | "index_unavailable"
  | "job_store_unavailable"
  | "settings_invalid";

export interface ErrorOptionsWithRetry {
  /** True where the same call may succeed later without any change. Default false. */
  retryable?: boolean;
  cause?: unknown;
}

/** Every error that Persistor throws on purpose: a stable `code`, whether a retry can help, and the cause. */
export class PersistorError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: ErrorOptionsWithRetry = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

/** An object store failed: `store_unavailable` (retryable), `object_missing`, `object_corrupt` or `key_invalid`. */
export class StoreError extends PersistorError {}

/** A broker failed: `broker_unavailable` (retryable), `topic_missing`, `access_denied`, `too_large`, `refused` or `overloaded`. */
export class BrokerError extends PersistorError {}

/** The metadata index or the job store failed. */
export class IndexError extends PersistorError {}

/** A port was asked for what its adapter cannot do. */
export class Unsupported extends PersistorError {
  constructor(message: string, options: ErrorOptionsWithRetry = {}) {
    super("unsupported", message, options);
  }
}

/** A queue of the process is full; the caller is to slow down and come again. */
export class Overloaded extends PersistorError {
  constructor(message: string) {
    super("overloaded", message, { retryable: true });
  }
}

/** One fault of an input: where (a path such as `filters[0].publish_time.$gte`) and what. */
export interface InputFault {
  path: string;
  message: string;
}

/** The caller's input is wrong; `faults` names each place. */
export class InvalidInput extends PersistorError {
  readonly faults: readonly InputFault[];

  constructor(message: string, faults: readonly InputFault[] = [], options: ErrorOptionsWithRetry = {}) {
    super("invalid_input", message, options);
    this.faults = faults;
  }
}

/** True where the same call may succeed later; unknown errors count as retryable, so that nothing is given up on a guess. */
export function isRetryable(error: unknown): boolean {
  return !(error instanceof PersistorError) || error.retryable;
}

/** The text of an error for a log line or a reason: its message, or the value as text. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
