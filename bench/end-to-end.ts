import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { Agent, type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { StoredRecord } from "../shared/core/avro/stored-record.ts";
import { digestOf } from "../shared/core/digest.ts";
import { indexRecordOf } from "../shared/core/index-record.ts";
import { stringAttribute } from "../shared/core/message.ts";
import { BATCH_MESSAGES } from "./lib/archive.ts";
import { writeBareObject } from "./lib/bare-objects.ts";
import { openBareTable } from "./lib/bare-table.ts";
import { openBareTopic } from "./lib/bare-topic.ts";
import type { Progress } from "./lib/child.ts";
import { type Bench, RANGE_MESSAGES, spelled } from "./lib/context.ts";
import { eventLine, FLIGHTS, messageAt } from "./lib/flights.ts";
import { call, type Host, startHost } from "./lib/host.ts";
import { inLanes, perSecond } from "./lib/timing.ts";

const LINES_PER_REQUEST = 5_000;
const REQUESTS_IN_FLIGHT = 4;
const CHUNK_BYTES = 64 * 1024;
const POLL_MS = 50;
const MB = 1e6;
const TEMPLATE = messageAt(0);

/** Posts 100,000 messages to the local host and waits until each is persisted, indexed and settled. */
export const measure: Bench = async ({ folder }, progress) => {
  progress("writing the lines to post");
  const bodies = Array.from({ length: RANGE_MESSAGES / LINES_PER_REQUEST }, (_, i) => linesFrom(i * LINES_PER_REQUEST));
  const bytes = bodies.reduce((sum, body) => sum + body.length, 0);
  const run = await runHost(join(folder, "data"), bodies, progress);
  progress("doing the same bare");
  const bareMs = await runBare(join(folder, "bare"), bodies);
  return [
    {
      name: "end to end embedded: NDJSON → persisted, indexed, settled",
      value: perSecond(RANGE_MESSAGES, run.settledMs),
      unit: "messages/s",
      target: 10_000,
      better: "higher",
      limit: perSecond(RANGE_MESSAGES, bareMs),
      info: [
        { name: "lines posted", value: perSecond(bytes / MB, run.settledMs), unit: "MB/s", limit: perSecond(bytes / MB, bareMs) },
        { name: "until all are accepted, durable at the broker", value: perSecond(RANGE_MESSAGES, run.acceptedMs), unit: "messages/s" },
      ],
    },
  ];
};

function linesFrom(first: number): Buffer {
  return Buffer.from(Array.from({ length: LINES_PER_REQUEST }, (_, i) => eventLine(first + i)).join(""));
}

async function runHost(dataDir: string, bodies: readonly Buffer[], progress: Progress): Promise<{ acceptedMs: number; settledMs: number }> {
  await mkdir(dataDir, { recursive: true });
  const host = await startHost(dataDir);
  const agent = new Agent({ keepAlive: true });
  try {
    progress(`posting ${spelled(RANGE_MESSAGES)} messages to the local host`);
    const startMs = performance.now();
    await inLanes(REQUESTS_IN_FLIGHT, bodies.length, (i) => post(host, bodies[i] as Buffer, agent));
    const acceptedMs = performance.now() - startMs;
    await untilSettled(host);
    const settledMs = performance.now() - startMs;
    const { total_count } = await call<{ total_count: number }>(`${host.url}/indexer/range/${FLIGHTS}/${FLIGHTS}?limit=1&count=true`);
    if (total_count !== RANGE_MESSAGES) throw new Error(`posting ${RANGE_MESSAGES} messages: ${total_count} are indexed`);
    return { acceptedMs, settledMs };
  } finally {
    agent.destroy();
    await host.stop();
  }
}

/** Streams one body. Throws unless every line was accepted. */
async function post(host: Host, body: Buffer, agent: Agent): Promise<void> {
  const headers = { "content-type": "application/x-ndjson", "transfer-encoding": "chunked" };
  const sent = request(`${host.url}/topics/${FLIGHTS}/events`, { method: "POST", agent, headers });
  const answered = once(sent, "response") as Promise<[IncomingMessage]>;
  // Where the connection breaks, that is thrown where the answer is awaited.
  answered.catch(() => undefined);
  for (let at = 0; at < body.length; at += CHUNK_BYTES) {
    if (!sent.write(body.subarray(at, at + CHUNK_BYTES))) await once(sent, "drain");
  }
  sent.end();
  const [response] = await answered;
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  if (response.statusCode === 200 && (JSON.parse(text) as { accepted: number }).accepted === LINES_PER_REQUEST) return;
  throw new Error(`posting ${LINES_PER_REQUEST} lines: ${response.statusCode} ${text}`);
}

interface Topics {
  topics: { subscriptions: { backlog: number }[] }[];
}

/** A message is settled after its index record is handed over, and that is settled once indexed: with no backlog, all is done. */
async function untilSettled(host: Host): Promise<void> {
  for (;;) {
    const { topics } = await call<Topics>(`${host.url}/topics`);
    if (topics.every(({ subscriptions }) => subscriptions.every(({ backlog }) => backlog === 0))) return;
    await sleep(POLL_MS);
  }
}

interface Event {
  json: unknown;
  attributes: Record<string, string>;
}

/** The same by straight code, without HTTP: parse, append to a table, encode, compress, write, insert into another table. */
async function runBare(folder: string, bodies: readonly Buffer[]): Promise<number> {
  await mkdir(folder, { recursive: true });
  const topic = openBareTopic(join(folder, "topic.db"));
  const table = openBareTable(join(folder, "index.db"));
  const startMs = performance.now();
  for (const [b, body] of bodies.entries()) {
    const records = body
      .toString()
      .split("\n")
      .filter((line) => line !== "")
      .map((line, i) => recordOf(JSON.parse(line) as Event, b * LINES_PER_REQUEST + i));
    topic.append(records.map(({ message }) => message.payload));
    for (let from = 0; from < records.length; from += BATCH_MESSAGES) {
      const batch = records.slice(from, from + BATCH_MESSAGES);
      const key = `${b}-${from}.avro`;
      await writeBareObject(join(folder, key), batch);
      const location = { position: 0, blockOffset: 0, blockLength: 0, blockPosition: 0 };
      table.insert(batch.map((record) => indexRecordOf(record, { store: "local", key, codec: "zstandard", formatVersion: 1, location })));
    }
  }
  const ms = performance.now() - startMs;
  topic.close();
  table.database.close();
  return ms;
}

function recordOf({ json, attributes }: Event, i: number): StoredRecord {
  const message = {
    ...TEMPLATE,
    brokerMessageId: String(i),
    payload: Buffer.from(JSON.stringify(json)),
    attributes: Object.entries(attributes).map(([name, value]) => stringAttribute(name, value)),
  };
  return { message, digest: digestOf(message), ingestionTimeUs: message.publishTimeUs, pipeline: FLIGHTS };
}
