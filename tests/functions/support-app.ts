import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { queryRoutes } from "../../functions/query/local.ts";
import { openIndex } from "../../shared/adapters/indexes/sqlite/adapter.ts";
import type { Clock } from "../../shared/core/clock.ts";
import type { IndexRecord } from "../../shared/core/index-record.ts";
import { NO_LOG } from "../../shared/core/ports/log.ts";
import type { MetadataIndex } from "../../shared/core/ports/metadata-index.ts";
import { ANYONE, type Authorize } from "../../shared/runtime/auth/authorize.ts";
import { type AppOptions, createApp } from "../../shared/runtime/http/app.ts";
import type { Mount } from "../../shared/runtime/http/route.ts";
import { createMetrics } from "../../shared/runtime/telemetry/metrics.ts";

/** What an answer held: its status, headers and JSON (or text where it is none). */
export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape.
  body: any;
}

export interface Asked {
  body?: unknown;
  /** Sent as it is, in place of `body`. */
  raw?: string | Uint8Array;
  headers?: Record<string, string>;
}

export type Ask = (method: string, path: string, asked?: Asked) => Promise<Answer>;

/** Calls an app without a network. */
export function asking(mounts: readonly Mount[], options: Partial<AppOptions> = {}): Ask {
  const metrics = createMetrics();
  const app = createApp({ mounts, authorize: () => ANYONE, log: NO_LOG, metrics, info: { version: "0" }, ...options });
  return async (method, path, { body, raw, headers } = {}) => {
    const content = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const type: Record<string, string> = content === undefined ? {} : { "content-type": "application/json" };
    const response = await app.request(`http://localhost${path}`, {
      method,
      body: content as string | undefined,
      headers: { ...type, ...headers },
    });
    return { status: response.status, headers: response.headers, body: parsed(await response.text()) };
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export interface IndexerHost {
  ask: Ask;
  index: MetadataIndex;
  close(): Promise<void>;
}

export interface IndexerHostOptions {
  clock: Clock;
  collections?: { name: string; pipelines: string[] }[];
  authorize?: Authorize;
  wrapIndex?(index: MetadataIndex): MetadataIndex;
}

/** The Indexer API on a fresh SQLite index. */
export async function openIndexer(options: IndexerHostOptions): Promise<IndexerHost> {
  const { clock, collections = [{ name: "orders", pipelines: ["orders"] }], authorize = () => ANYONE, wrapIndex } = options;
  const dataDir = await mkdtemp(join(tmpdir(), "persistor-indexer-"));
  const opened = await openIndex({}, { dataDir });
  const index = wrapIndex?.(opened) ?? opened;
  const routes = queryRoutes({ index, clock, collections: () => collections }, "a secret of at least thirty-two characters");
  return {
    ask: asking([{ prefix: "/indexer", routes }], { authorize }),
    index: opened,
    async close() {
      await opened.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

export const START_MS = Date.UTC(2026, 0, 1);

/** The `i`th record of the broker id `orders`: one each second from `START_MS` on. */
export function indexRecord(i: number, given: Partial<IndexRecord> = {}): IndexRecord {
  const brokerId = given.broker_id ?? "orders";
  return {
    unique_id: `${brokerId}_${i}`,
    broker_id: brokerId,
    broker_msg_id: String(i),
    store: "local",
    location_key: `raw/${Math.floor(i / 100)}.avro`,
    location_position: i % 100,
    block_offset: 0,
    block_length: 100,
    block_position: i % 100,
    codec: "zstandard",
    format_version: 1,
    payload_size: 10,
    digest: i.toString(16).padStart(64, "0"),
    publish_time: START_MS + i * 1000,
    ingestion_time: START_MS + i * 1000 + 5,
    indexer_ingestion_time: START_MS + i * 1000 + 9,
    attributes: [["n", i]],
    ...given,
  };
}
