import { isTransient } from "./errors.ts";

/** How the streams of a source fare, taken together. */
export interface Health {
  /** Why no deliveries can come; undefined where they can. */
  failure(): Failure | undefined;
  succeeded(): void;
  /** A stream ended: with an error, or (undefined) because the broker closed it. */
  failed(error: unknown): void;
  /** Counts a stream as a success once it has been open for a while; call what it returns when the stream ends. */
  watch(): () => void;
}

export interface Failure {
  error: unknown;
  /** Of the first failure since the last success, by `performance.now()`. */
  sinceMs: number;
  /** Of the last one. */
  atMs: number;
  /** Whether it may end by itself in a moment. */
  isTransient: boolean;
}

/** An open stream says nothing until there are messages. */
const OPEN_IS_GOOD_AFTER_MS = 2_000;
/** Pub/Sub ends streams now and then: only what fails again at once is a failure. */
const TRANSIENT_FAILURES = 2;

/** `onFailure` is called whenever `failure()` has something new to tell. */
export function createHealth(onFailure: () => void): Health {
  let failures = 0;
  let last: Failure | undefined;
  const succeeded = () => {
    failures = 0;
    last = undefined;
  };
  return {
    failure: () => (last && (!last.isTransient || failures >= TRANSIENT_FAILURES) ? last : undefined),
    succeeded,
    failed(error) {
      if (error === undefined) return;
      failures++;
      const atMs = performance.now();
      last = { error, sinceMs: last?.sinceMs ?? atMs, atMs, isTransient: isTransient(error) };
      onFailure();
    },
    watch() {
      const timer = setTimeout(succeeded, OPEN_IS_GOOD_AFTER_MS);
      return () => clearTimeout(timer);
    },
  };
}
