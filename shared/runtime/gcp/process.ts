import { NO_METER } from "../../core/ports/meter.ts";
import { systemClock } from "../clock.ts";
import { createLog } from "../log.ts";
import { createPorts, type Ports } from "../ports.ts";
import { readSettings } from "../settings/settings.ts";
import { onShutdown } from "./shutdown.ts";
import { runWithoutDomains } from "./without-domains.ts";

/** What one instance of a function holds: its settings and the ports that it opens when it first needs them. */
export interface FunctionProcess extends Ports {
  /** Has `flush` run once the platform ends this instance, before the ports are closed. */
  beforeClose(flush: () => Promise<unknown>): void;
  /** Runs work that may take long; `signal` aborts once the platform ends this instance, which then waits for the work to end. */
  runLong<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

/** Reads the settings of this instance and prepares for its end. Throws SettingsError, which the platform shows as a failed start. */
export function startProcess(): FunctionProcess {
  runWithoutDomains();
  const settings = readSettings(process.env, "cloud");
  const log = createLog({ level: settings.logLevel, form: "google" });
  const ports = createPorts(settings, { clock: systemClock, log, meter: NO_METER });
  const flushes: (() => Promise<unknown>)[] = [];
  const stopping = new AbortController();
  const running = new Set<Promise<unknown>>();
  onShutdown(async () => {
    stopping.abort();
    await Promise.allSettled([...running, ...flushes.map((flush) => flush())]);
    await ports.close();
  }, log);
  return {
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
  };
}
