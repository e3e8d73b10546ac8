import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { readObject } from "../shared/core/avro/object-file.ts";
import { type Archive, bareDatabase, forgetResubmissions } from "./lib/archive.ts";
import { openBareTopic } from "./lib/bare-topic.ts";
import { runChild } from "./lib/child.ts";
import { archiveOf, type Bench, RANGE_MESSAGES, spelled } from "./lib/context.ts";
import type { Driven, DriveOrder } from "./lib/drive.ts";
import { FIRST_PUBLISH_MS, FLIGHTS } from "./lib/flights.ts";
import { call, startHost } from "./lib/host.ts";
import { startFlags } from "./lib/start-command.ts";
import { percentiles, perSecond } from "./lib/timing.ts";

const RUNS = 3;
const PUBLISHED_AT_ONCE = 2_500;

/** The first 100,000 of the archive to another topic: by the core in a process of its own, bare, and by one call of the HTTP API. */
export const measure: Bench = async (context, progress) => {
  const archive = archiveOf(context);
  const runs: Driven[] = [];
  const bareRuns: BareRun[] = [];
  for (let i = 0; i < RUNS; i++) {
    progress(`resubmitting ${spelled(RANGE_MESSAGES)} messages: ${i} of ${RUNS} runs`);
    await forgetResubmissions(archive);
    const order = { dataDir: archive.dataDir, count: RANGE_MESSAGES };
    runs.push(await runChild<DriveOrder, Driven>(new URL("./lib/drive.ts", import.meta.url), order, progress, startFlags()));
    bareRuns.push(await resubmitBare(archive, join(context.folder, `bare-${i}.db`)));
  }
  progress("resubmitting over HTTP");
  const http = await overHttp(archive);
  const jobMs = percentiles(runs.map((run) => run.jobMs));
  const firstOutMs = percentiles(runs.map((run) => run.firstOutMs));
  return [
    {
      name: `resubmit a range of ${spelled(RANGE_MESSAGES)}`,
      value: perSecond(RANGE_MESSAGES, jobMs.p50),
      unit: "messages/s",
      target: 40_000,
      better: "higher",
      limit: perSecond(RANGE_MESSAGES, percentiles(bareRuns.map((run) => run.allMs)).p50),
      info: [
        { name: "slowest run", value: perSecond(RANGE_MESSAGES, jobMs.p99), unit: "messages/s" },
        { name: "one call over HTTP, on a host just started", value: perSecond(RANGE_MESSAGES, http.allMs), unit: "messages/s" },
      ],
    },
    {
      name: "resubmit: time to the first message out",
      value: firstOutMs.p50,
      unit: "ms",
      target: 100,
      better: "lower",
      limit: percentiles(bareRuns.map((run) => run.firstOutMs)).p50,
      info: [
        { name: "slowest run", value: firstOutMs.p99, unit: "ms" },
        { name: "pulled over HTTP by a subscriber, host just started", value: http.firstOutMs, unit: "ms" },
      ],
    },
  ];
};

interface BareRun {
  allMs: number;
  firstOutMs: number;
}

/** The same by straight code: look up where the messages lie, read and decode the objects, append the payloads durably. */
async function resubmitBare({ dataDir, count }: Archive, file: string): Promise<BareRun> {
  const index = new DatabaseSync(bareDatabase({ dataDir, count, indexRates: [], bareRates: [] }), { readOnly: true });
  const topic = openBareTopic(file);
  const startMs = performance.now();
  let firstOutMs = Number.NaN;
  const objects = index
    .prepare("SELECT DISTINCT location_key AS key FROM record WHERE publish_time >= ? AND publish_time < ?")
    .all(FIRST_PUBLISH_MS, FIRST_PUBLISH_MS + RANGE_MESSAGES) as { key: string }[];
  let payloads: Uint8Array[] = [];
  for (const { key } of objects) {
    for await (const block of readObject(readFileSync(join(dataDir, "objects", key)), { brokerId: "", pipeline: "", topic: "" })) {
      if ("fault" in block) throw block.fault.error;
      for (const { record } of block.records) payloads.push(record.message.payload);
      if (payloads.length < PUBLISHED_AT_ONCE) continue;
      topic.append(payloads);
      if (Number.isNaN(firstOutMs)) firstOutMs = performance.now() - startMs;
      payloads = [];
    }
  }
  topic.append(payloads);
  const allMs = performance.now() - startMs;
  topic.close();
  index.close();
  return { allMs, firstOutMs };
}

interface Answer {
  job: string;
  summary?: { published_count: number; verified_count: number };
}

interface JobAnswer extends Answer {
  state: string;
}

/** As a user sees it: one call that answers when all are out, and another who waits for the first of them. */
async function overHttp(archive: Archive): Promise<BareRun> {
  await forgetResubmissions(archive);
  const host = await startHost(archive.dataDir);
  try {
    const pull = `${host.url}/topics/replay/subscriptions/bench:pull`;
    await call(pull, "POST", { maxMessages: 1 });
    const body = {
      broker_id: FLIGHTS,
      lb: new Date(FIRST_PUBLISH_MS).toISOString(),
      ub: new Date(FIRST_PUBLISH_MS + RANGE_MESSAGES).toISOString(),
    };
    const startMs = performance.now();
    const firstOut = untilPulled(pull).then(() => performance.now() - startMs);
    const answer = await call<Answer>(`${host.url}/resubmitter/range/${FLIGHTS}?topic=replay`, "POST", body);
    const summary = answer.summary ?? (await untilEnded(`${host.url}/resubmitter/jobs/${answer.job}`)).summary;
    const allMs = performance.now() - startMs;
    if (summary?.published_count !== RANGE_MESSAGES || summary.verified_count !== RANGE_MESSAGES)
      throw new Error(`resubmitting over HTTP: ${JSON.stringify(summary)}`);
    return { allMs, firstOutMs: await firstOut };
  } finally {
    await host.stop();
    await forgetResubmissions(archive);
  }
}

async function untilPulled(url: string): Promise<void> {
  for (;;) {
    const { receivedMessages } = await call<{ receivedMessages: unknown[] }>(url, "POST", { maxMessages: 1 });
    if (receivedMessages.length > 0) return;
  }
}

async function untilEnded(url: string): Promise<JobAnswer> {
  for (;;) {
    const job = await call<JobAnswer>(url);
    if (job.state !== "planning" && job.state !== "running") return job;
    await sleep(100);
  }
}
