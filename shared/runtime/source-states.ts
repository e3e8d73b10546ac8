import type { Clock } from "../core/clock.ts";
import { errorText } from "../core/errors.ts";
import type { Log } from "../core/ports/log.ts";

/** How one source fares, as the one who pulls from it sees it. */
export interface SourceState {
  succeeded(): void;
  failed(error: unknown): void;
}

/** The sources that are pulled from. */
export interface SourceStates {
  of(name: string): SourceState;
  /** Each source, and why nothing can be taken from it; undefined where that is not known. */
  failures(): ReadonlyMap<string, Error | undefined>;
}

/** The same reason is logged again after this time. */
const LOG_AGAIN_MS = 60_000;

/** Notes failures for whoever asks, and logs each once a minute: what lasts is neither silent nor noise. */
export function createSourceStates(clock: Clock, log: Log): SourceStates {
  const failures = new Map<string, Error | undefined>();
  const stateOf = (name: string): SourceState => {
    let loggedText = "";
    let loggedAtMs = Number.NEGATIVE_INFINITY;
    return {
      succeeded() {
        if (failures.get(name)) log.warn("a source can be read again", { source: name });
        failures.set(name, undefined);
        loggedText = "";
      },
      failed(error) {
        failures.set(name, error instanceof Error ? error : new Error(errorText(error)));
        const text = errorText(error);
        const nowMs = clock.nowMs();
        if (text === loggedText && nowMs - loggedAtMs < LOG_AGAIN_MS) return;
        loggedText = text;
        loggedAtMs = nowMs;
        log.error("pulling a batch failed", { source: name, error: text });
      },
    };
  };
  return {
    of(name) {
      failures.set(name, undefined);
      return stateOf(name);
    },
    failures: () => failures,
  };
}
