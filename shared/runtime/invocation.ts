import { randomUUID } from "node:crypto";
import { performance } from "node:perf_hooks";
import middyUntyped from "@middy/core";
import type { Log } from "../core/ports/log.ts";
import type { Meter } from "../core/ports/meter.ts";

/** One run of a function. */
export interface Invocation {
  /** The request's or the platform's id of this run. */
  readonly id: string;
  /** Its lines carry the function's name and the id. */
  readonly log: Log;
  /** Aborts when the time for this run is over, or when the platform says so. */
  readonly signal: AbortSignal;
}

/** What the platform's entry knows of one run. */
export interface InvocationStart {
  /** Default: a new one. */
  id?: string;
  /** Ends the run early. */
  signal?: AbortSignal;
}

/** A meter that may hold measurements back until it is flushed. */
export type FlushedMeter = Meter & { flush?(): Promise<void> };

export interface InvocationOptions<R> {
  /** Milliseconds until `signal` aborts, some less than what the platform grants; null: never. */
  limitMs: number | null;
  log: Log;
  metrics: FlushedMeter;
  /** Turns an error into a result. Default: the error is logged and thrown on, so that the trigger delivers again. */
  onError?(error: unknown, invocation: Invocation): R;
}

interface Run extends Invocation {
  startMs: number;
  end(): void;
}

/** As much of middy as is used here; its own types are those of AWS Lambda. */
type Middy = <E, R>(handler: (event: E, run: Run) => Promise<R>) => Wrapped<E, R>;
interface Wrapped<E, R> {
  (event: E, run: Run): Promise<R>;
  use(middleware: {
    after(request: { context: Run }): Promise<void>;
    onError(request: { context: Run; error: unknown }): Promise<R>;
  }): Wrapped<E, R>;
}
const middy = middyUntyped as unknown as Middy;

/**
 * Wraps a function in what cuts across all of them: a log with the run's id, a deadline, its duration as a metric, the mapping of errors and
 * the flush of metrics.
 *
 * @example
 * const persist = invocation("persist", (event: Delivery[], { signal, log }) => persistBatch(event, signal, log), { limitMs: 240_000, log, metrics });
 */
export function invocation<E, R>(
  name: string,
  handler: (event: E, invocation: Invocation) => Promise<R>,
  options: InvocationOptions<R>,
): (event: E, start?: InvocationStart) => Promise<R> {
  const { limitMs, log, metrics, onError } = options;
  const ended = async (run: Run, outcome: string) => {
    run.end();
    metrics.record("persistor.invocation.duration", (performance.now() - run.startMs) / 1000, { function: name, outcome });
    await metrics.flush?.();
  };
  const wrapped = middy(handler).use({
    after: ({ context }) => ended(context, "done"),
    async onError({ context, error }) {
      await ended(context, "failed");
      if (onError) return onError(error, context);
      context.log.error("a function failed", { error });
      throw error;
    },
  });
  return (event, start = {}) => {
    const id = start.id ?? randomUUID();
    const startMs = performance.now();
    let limit: Deadline | undefined;
    let own: Log | undefined;
    const run: Run = {
      id,
      // Made when something is logged: most runs log nothing.
      get log() {
        own ??= log.child({ function: name, id });
        return own;
      },
      // So is this: a controller and a timer for each of many thousand pushes would be for nothing.
      get signal() {
        const leftMs = limitMs === null ? null : limitMs - (performance.now() - startMs);
        limit ??= deadline(leftMs, `running ${name}: its time of ${limitMs} ms is over`, start.signal);
        return limit.signal;
      },
      startMs,
      end: () => limit?.end(),
    };
    return wrapped(event, run);
  };
}

interface Deadline {
  signal: AbortSignal;
  end(): void;
}

/** A signal that aborts with `reason` after `leftMs`, or with `outer`; `end` takes back timer and listener. */
function deadline(leftMs: number | null, reason: string, outer: AbortSignal | undefined): Deadline {
  const controller = new AbortController();
  const pass = () => controller.abort(outer?.reason);
  if (outer?.aborted) pass();
  else outer?.addEventListener("abort", pass, { once: true });
  const over = () => controller.abort(new Error(reason));
  const timer = leftMs === null ? undefined : setTimeout(over, leftMs).unref();
  return {
    signal: controller.signal,
    end() {
      clearTimeout(timer);
      outer?.removeEventListener("abort", pass);
    },
  };
}
