import { DatabaseSync } from "node:sqlite";
import type { Filter } from "../shared/core/filter/ast.ts";
import type { IndexPosition, MetadataIndex } from "../shared/core/ports/metadata-index.ts";
import { type Archive, bareDatabase, forgetResubmissions, openArchiveIndex } from "./lib/archive.ts";
import type { Progress } from "./lib/child.ts";
import { archiveOf, type Bench, spelled } from "./lib/context.ts";
import type { Figure } from "./lib/figures.ts";
import { FIRST_PUBLISH_MS, FLIGHTS } from "./lib/flights.ts";
import { call, startHost } from "./lib/host.ts";
import { type Percentiles, percentiles, timed } from "./lib/timing.ts";

const PAGE = 100;
const SAMPLES = 1_000;
const WARM_UP = 100;
const HTTP_SAMPLES = 300;
/** Pages by which the HTTP API is walked to the deep place. */
const WALK_PAGE = 1_000;

const ALL_OF_BROKER: Filter = {
  op: "all",
  of: [
    { op: "$eq", field: { kind: "record", name: "broker_id" }, value: FLIGHTS },
    { op: "$gte", field: { kind: "record", name: "publish_time" }, value: FIRST_PUBLISH_MS },
  ],
};

/** Pages of 100 at the start of a range and nine tenths into it, by turns, so that both see the same machine. */
export const measure: Bench = async (context, progress) => {
  const archive = archiveOf(context);
  const depth = archive.count * 0.9;
  const index = await openArchiveIndex(archive);
  progress(`reading pages at depth 0 and ${spelled(depth)}`);
  const deepMs = FIRST_PUBLISH_MS + depth - 1;
  const deep: IndexPosition = { order: "publish", publish_time: deepMs, unique_id: `${FLIGHTS}_${depth - 1}` };
  const [first, far] = await alternate(SAMPLES, WARM_UP, [() => readPage(index, undefined, 0), () => readPage(index, deep, depth)]);
  await index.close();
  progress("making the bare table's index for pages");
  const bare = openBareReader(bareDatabase(archive));
  const [bareFirst, bareFar] = await alternate(SAMPLES, WARM_UP, [() => bare.page(0, ""), () => bare.page(deepMs, deep.unique_id)]);
  bare.close();
  const http = await overHttp(archive, depth, progress);
  return [
    page("range page of 100 at depth 0, p99", first, bareFirst, http.first),
    page(`range page of 100 at depth ${spelled(depth)}, p99`, far, bareFar, http.far),
    {
      name: "range page of 100: p99 at depth against p99 at the start",
      value: far.p99 / first.p99,
      unit: "ratio",
      target: 1.2,
      better: "lower",
      limit: bareFar.p99 / bareFirst.p99,
      info: [
        { name: "p50 at depth against p50 at the start", value: far.p50 / first.p50, unit: "ratio", limit: bareFar.p50 / bareFirst.p50 },
      ],
    },
  ];
};

function page(name: string, took: Percentiles, limit: Percentiles, http: Percentiles): Figure {
  const info = [
    { name: "p50", value: took.p50, unit: "ms", limit: limit.p50 },
    { name: "over HTTP, p50", value: http.p50, unit: "ms" },
    { name: "over HTTP, p99", value: http.p99, unit: "ms" },
  ] as const;
  return { name, value: took.p99, unit: "ms", target: 10, better: "lower", limit: limit.p99, info: [...info] };
}

async function readPage(index: MetadataIndex, after: IndexPosition | undefined, depth: number): Promise<void> {
  const records = await index.find(FLIGHTS, { filter: ALL_OF_BROKER, order: "publish", after, limit: PAGE });
  if (records.length !== PAGE || records[0]?.unique_id !== `${FLIGHTS}_${depth}`)
    throw new Error(`reading a page at depth ${depth}: it is another one`);
}

/** Percentiles of each work, run by turns. */
async function alternate<const T extends readonly (() => unknown)[]>(
  samples: number,
  warmUp: number,
  works: T,
): Promise<{ [K in keyof T]: Percentiles }> {
  const samplesMs: number[][] = works.map(() => []);
  for (let i = 0; i < warmUp + samples; i++) {
    for (let turn = 0; turn < works.length; turn++) {
      // Each comes behind each other one equally often.
      const w = (i + turn) % works.length;
      const ms = await timed(works[w] as () => unknown);
      if (i >= warmUp) samplesMs[w]?.push(ms);
    }
  }
  return samplesMs.map(percentiles) as { [K in keyof T]: Percentiles };
}

/** The same pages as a caller of the Indexer API sees them; the deep one by the cursor to which walking leads. */
async function overHttp(archive: Archive, depth: number, progress: Progress): Promise<{ first: Percentiles; far: Percentiles }> {
  await forgetResubmissions(archive);
  const host = await startHost(archive.dataDir);
  try {
    const url = `${host.url}/indexer/range/${FLIGHTS}/${FLIGHTS}`;
    let cursor = "";
    for (let walked = 0; walked < depth; walked += WALK_PAGE) {
      if (walked % 100_000 === 0) progress(`walking the range over HTTP: ${spelled(walked)} of ${spelled(depth)}`);
      const asked = `${url}?limit=${WALK_PAGE}${cursor && `&cursor=${cursor}`}`;
      ({ cursor } = await call<{ cursor: string }>(asked));
    }
    progress("reading pages over HTTP");
    const [first, far] = await alternate(HTTP_SAMPLES, WARM_UP, [
      () => call(`${url}?limit=${PAGE}`),
      () => call(`${url}?limit=${PAGE}&cursor=${cursor}`),
    ]);
    return { first, far };
  } finally {
    await host.stop();
  }
}

/** The same by an index that was made for just this question. */
function openBareReader(file: string) {
  const database = new DatabaseSync(file);
  database.exec("CREATE INDEX IF NOT EXISTS by_broker ON record (broker_id, publish_time, unique_id)");
  const select = database.prepare(
    `SELECT * FROM record WHERE broker_id = '${FLIGHTS}' AND (publish_time, unique_id) > (?, ?) ORDER BY publish_time, unique_id LIMIT ${PAGE}`,
  );
  return {
    page: (publishTimeMs: number, uniqueId: string) => select.all(publishTimeMs, uniqueId),
    close: () => database.close(),
  };
}
