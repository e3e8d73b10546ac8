import { setTimeout as sleep } from "node:timers/promises";
import { Storage } from "@google-cloud/storage";
import { type GcpCloud, type GcpCloudOptions, startGcpCloud } from "../../../tests/services/gcp-cloud.ts";
import { FLIGHTS } from "../../lib/flights.ts";

/** Pipeline `flights`: from its topic into `raw/`, with the index handed over. */
export const PIPELINES = {
  [FLIGHTS]: {
    source: { broker: "pubsub", topic: FLIGHTS },
    store: { kind: "gcs", bucket: "lake", prefix: "raw", path: "{topic}/{year}/{month}/{day}" },
    index: { collection: FLIGHTS },
  },
};

export const INDEX_TOPIC = "persistor-index";
/** A destination and its topic. */
export const REPLAY = "replay";

/** Holds 100,000 messages of 1 KiB for several subscriptions. */
const EMULATOR_HEAP_MB = 4096;

/**
 * Gives `work` Google Cloud's parts and the functions of `targets`, and stops them all after it.
 *
 * The functions start as they do on a new instance: without code that was kept compiled. Where `BENCH_PROFILE_DIR` names a folder, each
 * function leaves a profile of its processor time there.
 */
export async function withCloud<T>(
  options: Partial<GcpCloudOptions> & Pick<GcpCloudOptions, "targets">,
  work: (cloud: GcpCloud) => Promise<T>,
): Promise<T> {
  delete process.env.NODE_COMPILE_CACHE;
  process.env.METADATA_SERVER_DETECTION = "none";
  const profiles = process.env.BENCH_PROFILE_DIR;
  const environment: Record<string, string> = profiles === undefined ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profiles}` };
  const cloud = await startGcpCloud({
    pipelines: PIPELINES,
    destinations: { [REPLAY]: { broker: "pubsub", topic: REPLAY } },
    pushed: [],
    emulatorHeapMb: EMULATOR_HEAP_MB,
    ...options,
    environment: { ...environment, ...options.environment },
  });
  try {
    return await work(cloud);
  } finally {
    // Node writes a profile where it ends by itself.
    if (profiles !== undefined) await Promise.all(Object.values(cloud.functions).map(({ service }) => service.terminate()));
    await cloud.stop();
  }
}

/** Calls a function and returns its answer. Throws where that is none of 2xx. */
export async function post<T>(url: string, token: string, body?: unknown): Promise<T> {
  const response = await fetch(url, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`calling ${new URL(url).pathname}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

/** What lies in the bucket under a prefix. */
export interface Stored {
  objects: number;
  bytes: number;
  /** When the latest object was created, in milliseconds since 1970. */
  lastMs: number;
}

/** Counts the objects under `prefix`. */
export async function listStored({ gcs, projectId, bucket }: GcpCloud, prefix: string): Promise<Stored> {
  const storage = new Storage({ projectId, apiEndpoint: gcs.url, useAuthWithCustomEndpoint: false });
  const [files] = await storage.bucket(bucket).getFiles({ prefix });
  const stored = { objects: files.length, bytes: 0, lastMs: 0 };
  for (const { metadata } of files) {
    stored.bytes += Number(metadata.size);
    stored.lastMs = Math.max(stored.lastMs, Date.parse(metadata.timeCreated ?? ""));
  }
  return stored;
}

/** Waits until `isSo`. Throws, naming what it waited for, after `limitMs`. */
export async function until(what: string, isSo: () => Promise<boolean>, limitMs = 120_000): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`waiting for ${what}: it did not come in ${limitMs / 1000} s`);
    await sleep(50);
  }
}
