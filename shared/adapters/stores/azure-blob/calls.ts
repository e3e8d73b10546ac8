import { repeating } from "../../support/repeating.ts";
import { isTransient, storeErrorOf, systemError } from "./errors.ts";

/** What every request of the SDK is given, so that it ends where the server falls silent. */
export interface Moving {
  readonly abortSignal: AbortSignal;
  /** To be called whenever bytes moved. */
  readonly onProgress: () => void;
}

/** Makes one request, up to three times where it fails for a moment. */
export type Call = <T>(work: (moving: Moving) => Promise<T>) => Promise<T>;

/** `idleTimeoutMs`: how long a request may move no byte; then it fails with the code `ETIMEDOUT`. */
export function callsWithin(idleTimeoutMs: number): Call {
  return (work) => repeating(isTransient, () => whileMoving(idleTimeoutMs, work));
}

/** Runs the calls of `work`; throws StoreError, `doing` (a gerund) at its head. */
export async function asStoreErrors<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storeErrorOf(error, doing);
  }
}

async function whileMoving<T>(idleTimeoutMs: number, work: (moving: Moving) => Promise<T>): Promise<T> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), idleTimeoutMs);
  try {
    return await work({ abortSignal: silence.signal, onProgress: () => timer.refresh() });
  } catch (error) {
    throw silence.signal.aborted ? systemError("ETIMEDOUT", `no byte moved for ${idleTimeoutMs} ms`) : error;
  } finally {
    clearTimeout(timer);
  }
}
