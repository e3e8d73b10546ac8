/** How what brings the deliveries of a source fares, taken together. */
export interface Health {
  /** Why no deliveries can come; undefined where they can. */
  failure(): Failure | undefined;
  succeeded(): void;
  /** Something failed: with an error, or (undefined) because the broker ended it. */
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

export interface HealthOptions {
  /** Failures one after the other that are none yet where each of them may pass: some brokers end streams now and then. */
  toleratedFailures: number;
  /** Whether an error may end by itself in a moment. */
  isTransient(error: unknown): boolean;
  /** Called whenever `failure()` has something new to tell. */
  onFailure(): void;
}

export function createHealth({ toleratedFailures, isTransient, onFailure }: HealthOptions): Health {
  let failures = 0;
  let last: Failure | undefined;
  const succeeded = () => {
    failures = 0;
    last = undefined;
  };
  return {
    failure: () => (last && (!last.isTransient || failures > toleratedFailures) ? last : undefined),
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
