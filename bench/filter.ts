import { DatabaseSync } from "node:sqlite";
import { parseFilter } from "../shared/core/filter/parse.ts";
import { bareDatabase, openArchiveIndex } from "./lib/archive.ts";
import { archiveOf, type Bench, spelled } from "./lib/context.ts";
import type { Figure } from "./lib/figures.ts";
import { allFlights, FLIGHTS, type Flight } from "./lib/flights.ts";
import { type Percentiles, percentiles, timed } from "./lib/timing.ts";

const HITS = 100;
const SAMPLES = 1_000;
const WARM_UP = 50;

type Shape = readonly (keyof Flight)[];

/** What is compared: one attribute, equal as text (`date`) or as a number; or two together, each of which alone has thousands of hits. */
const SHAPES: Readonly<Record<string, readonly Shape[]>> = {
  "one attribute": [["date"], ["delay"], ["distance"]],
  "two together": [["origin", "destination"]],
};

/** Filters on attributes, each with exactly 100 hits. */
export const measure: Bench = async (context, progress) => {
  const archive = archiveOf(context);
  const asked = Object.entries(SHAPES).map(([name, shapes]) => ({ name, questions: questionsFor(shapes, archive.count) }));
  const index = await openArchiveIndex(archive);
  progress("filtering by attributes");
  const took: Percentiles[] = [];
  for (const { questions } of asked) {
    const samplesMs = await samplesOf(questions, async (question) => {
      const hits = await index.find(FLIGHTS, { filter: parseFilter(filterOf(question)), order: "publish", limit: HITS + 1 });
      if (hits.length !== HITS) throw new Error(`filtering by ${JSON.stringify(question)}: ${hits.length} hits, not ${HITS}`);
    });
    took.push(percentiles(samplesMs));
  }
  await index.close();
  progress("making the bare table's indexes for the filters");
  const bare = openBareReader(bareDatabase(archive));
  const limits: Percentiles[] = [];
  for (const { questions } of asked) limits.push(percentiles(await samplesOf(questions, bare.find)));
  bare.close();
  return asked.map(({ name }, i): Figure => {
    const [own, limit] = [took[i], limits[i]] as [Percentiles, Percentiles];
    return {
      name: `attribute filter hitting ${HITS} of ${spelled(archive.count)}, ${name}, p99`,
      value: own.p99,
      unit: "ms",
      target: 20,
      better: "lower",
      limit: limit.p99,
      info: [{ name: "p50", value: own.p50, unit: "ms", limit: limit.p50 }],
    };
  });
};

type Question = Partial<Flight>;

/** Milliseconds of each question. What is compared runs one behind the other, for each leaves work to the garbage collector. */
async function samplesOf(questions: readonly Question[], ask: (question: Question) => unknown): Promise<number[]> {
  const samplesMs: number[] = [];
  for (let i = 0; i < WARM_UP + SAMPLES; i++) {
    const question = questions[i % questions.length] as Question;
    const ms = await timed(() => ask(question));
    if (i >= WARM_UP) samplesMs.push(ms);
  }
  return samplesMs;
}

/** Values that stand in so many of the 20,000 flights that cycling them up to `count` makes 100; of each shape by turns. */
function questionsFor(shapes: readonly Shape[], count: number): Question[] {
  const flights = allFlights();
  const wanted = (HITS * flights.length) / count;
  const byShape = shapes
    .map((shape) => {
      const groups = Map.groupBy(flights, (flight) => JSON.stringify(shape.map((name) => flight[name])));
      const fitting = [...groups.values()].filter((group) => group.length === wanted);
      return fitting.map(([flight]) => Object.fromEntries(shape.map((name) => [name, flight?.[name]])) as Question);
    })
    .filter((questions) => questions.length > 0);
  const most = Math.max(0, ...byShape.map((questions) => questions.length));
  const mixedUp = Array.from({ length: most }, (_, i) => byShape.map((questions) => questions[i % questions.length] as Question)).flat();
  if (mixedUp.length === 0) throw new Error(`looking for filters: no value stands in ${wanted} flights`);
  return mixedUp;
}

function filterOf(question: Question): unknown {
  return { filters: [Object.fromEntries(Object.entries(question).map(([name, value]) => [`additional_metadata.${name}`, value]))] };
}

/** The same by indexes that were made for just these questions. */
function openBareReader(file: string): { find(question: Question): unknown[]; close(): void } {
  const database = new DatabaseSync(file);
  const shapes = Object.values(SHAPES).flat();
  for (const shape of shapes)
    database.exec(`CREATE INDEX IF NOT EXISTS by_${shape.join("_")} ON record (${shape.join(", ")}, publish_time, unique_id)`);
  const statements = new Map(
    shapes.map((shape) => {
      const where = shape.map((name) => `${name} = ?`).join(" AND ");
      const sql = `SELECT * FROM record WHERE ${where} ORDER BY publish_time, unique_id LIMIT ${HITS + 1}`;
      return [shape.join(), database.prepare(sql)] as const;
    }),
  );
  return {
    find: (question) => statements.get(Object.keys(question).join())?.all(...Object.values(question).map(String)) ?? [],
    close: () => database.close(),
  };
}
