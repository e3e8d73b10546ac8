import { fileURLToPath } from "node:url";
import type { HostLog } from "../../tests/services/azure-host/host-log.ts";
import type { Progress } from "../lib/child.ts";
import type { Figure } from "../lib/figures.ts";
import { FLIGHTS } from "../lib/flights.ts";
import { peakRssMb } from "../lib/process-usage.ts";
import { percentiles } from "../lib/timing.ts";
import type { AzureBench } from "./lib/context.ts";
import { APP, startAppWorker } from "./lib/worker.ts";

const STARTS = 5;
const BARE = fileURLToPath(new URL("bare", import.meta.url));

/** Starts of one worker. */
interface Start {
  /** From the first entry until all are loaded and the functions reported. */
  importMs: number;
  /** The same from the start of the process. */
  startMs: number;
  rssMb: number;
}

/** Fresh workers load the function app with one pipeline, by turns with an app that registers one function and does nothing. */
export const measure: AzureBench = async (_context, progress) => {
  const ours: Start[] = [];
  const bare: Start[] = [];
  for (let i = 0; i < STARTS; i++) {
    const at: Progress = (what) => progress(`round ${i + 1} of ${STARTS}: ${what}`);
    at("an app that does nothing");
    bare.push(await startOnce(BARE, {}, "bare"));
    at("the function app");
    ours.push(await startOnce(APP, environment(), `persist-${FLIGHTS}`));
  }
  return [figureOf(ours, bare)];
};

/** Of a function app with one pipeline: from Service Bus into Blob Storage. */
function environment(): Record<string, string> {
  const pipeline = {
    source: { broker: "service-bus", topic: FLIGHTS, subscription: "persistor" },
    store: { kind: "azure-blob", container: "lake" },
  };
  return {
    NODE_ENV: "production",
    PERSISTOR_PIPELINES: JSON.stringify({ [FLIGHTS]: pipeline }),
    PERSISTOR_SERVICE_BUS__fullyQualifiedNamespace: "example.servicebus.windows.net",
    PERSISTOR_AZURE_STORAGE__blobServiceUri: "https://example.blob.core.windows.net",
  };
}

/** Throws where the app does not report a function of that name. */
async function startOnce(appDir: string, env: Record<string, string>, name: string): Promise<Start> {
  let firstEntryMs = Number.NaN;
  const lines: string[] = [];
  const log: HostLog = {
    write(_level, _category, message) {
      if (Number.isNaN(firstEntryMs) && message.startsWith("Loading entry point file")) firstEntryMs = performance.now();
      lines.push(message);
    },
    output: () => lines.join("\n"),
  };
  const startedMs = performance.now();
  const worker = startAppWorker(appDir, env, log);
  try {
    const { functions, error } = await worker.started();
    const nowMs = performance.now();
    if (!functions.some((fn) => fn.name === name))
      throw new Error(`loading ${appDir}: it has no function ${name}; ${error ?? log.output()}`);
    return { importMs: nowMs - firstEntryMs, startMs: nowMs - startedMs, rssMb: peakRssMb(worker.pid) };
  } finally {
    await worker.terminate(0);
  }
}

function figureOf(ours: readonly Start[], bare: readonly Start[]): Figure {
  const importMs = (starts: readonly Start[]) => percentiles(starts.map((start) => start.importMs));
  const startMs = (starts: readonly Start[]) => percentiles(starts.map((start) => start.startMs));
  const rssMb = (starts: readonly Start[]) => Math.max(...starts.map((start) => start.rssMb));
  return {
    name: "import time of the function app with one pipeline, p50",
    value: importMs(ours).p50,
    unit: "ms",
    target: 400,
    better: "lower",
    limit: importMs(bare).p50,
    info: [
      { name: "slowest", value: importMs(ours).p99, unit: "ms", limit: importMs(bare).p99 },
      { name: "from the start of the worker process, p50", value: startMs(ours).p50, unit: "ms", limit: startMs(bare).p50 },
      { name: "peak RSS of the worker", value: rssMb(ours), unit: "MB", limit: rssMb(bare) },
    ],
  };
}
