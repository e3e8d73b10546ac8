import type { Log } from "../core/ports/log.ts";
import { NO_METER } from "../core/ports/meter.ts";
import { systemClock } from "./clock.ts";
import { createPorts, type Ports } from "./ports.ts";
import type { Settings } from "./settings/settings.ts";

/** What one instance of a function holds: its settings and the ports that it opens when it first needs them. */
export interface FunctionProcess extends Ports {
  /** Has `flush` run once the platform ends this instance, before the ports are closed. */
  beforeClose(flush: () => Promise<unknown>): void;
  /** Runs work that may take long; `signal` aborts once the platform ends this instance, which then waits for the work to end. */
  runLong<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

/** The same, to be ended with `end`: what is under way is flushed and settled, then the ports are closed. */
export function createFunctionProcess(settings: Settings, log: Log): { process: FunctionProcess; end(): Promise<void> } {
  const ports = createPorts(settings, { clock: systemClock, log, meter: NO_METER });
  const flushes: (() => Promise<unknown>)[] = [];
  const stopping = new AbortController();
  const running = new Set<Promise<unknown>>();
  return {
    process: {
      ...ports,
      beforeClose: (flush) => void flushes.push(flush),
      async runLong(work) {
        const worked = work(stopping.signal);
        running.add(worked);
        try {
          return await worked;
        } finally {
          running.delete(worked);
        }
      },
    },
    async end() {
      stopping.abort();
      await Promise.allSettled([...running, ...flushes.map((flush) => flush())]);
      await ports.close();
    },
  };
}
