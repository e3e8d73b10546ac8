import type { Collection, IndexDescription } from "mongodb";
import type { Log } from "../../../core/ports/log.ts";
import type { IndexPosition } from "../../../core/ports/metadata-index.ts";
import type { Connection } from "./connection.ts";
import type { RecordDocument } from "./documents.ts";
import { serverCode } from "./errors.ts";
import { makeIndexes } from "./make-indexes.ts";
import { recordCollection } from "./names.ts";

type Key = Record<string, 1>;

/** The indexes, by the names that servers give them by themselves, so that one made by hand is the same. */
export const INDEXES = {
  attrs: "attrs.$**_1",
  nums: "nums.$**_1",
  broker: "broker_id_1_publish_time_1__id_1",
  time: "publish_time_1__id_1",
  location: "location_key_1",
  source: "source_key_1_sequence_rank_1_publish_time_1__id_1",
  id: "_id_",
} as const;

export type IndexName = (typeof INDEXES)[keyof typeof INDEXES];

/** What an order sorts by. */
export const SORTS: Readonly<Record<IndexPosition["order"], Key>> = {
  publish: { publish_time: 1, _id: 1 },
  source: { source_key: 1, sequence_rank: 1, publish_time: 1, _id: 1 },
};

const WILDCARDS: IndexDescription[] = [
  { key: { "attrs.$**": 1 }, name: INDEXES.attrs },
  { key: { "nums.$**": 1 }, name: INDEXES.nums },
];
const ORDINARY: IndexDescription[] = [
  { key: { broker_id: 1, ...SORTS.publish }, name: INDEXES.broker },
  { key: SORTS.publish, name: INDEXES.time },
  { key: { location_key: 1 }, name: INDEXES.location },
];

/** How long what is known of a collection is believed. */
const STATE_TTL_MS = 60_000;

/** What is known of a collection of the database. */
export interface KnownCollection {
  collection: Collection<RecordDocument>;
  /** Names of the indexes that it has. */
  indexes: ReadonlySet<string>;
  /** Records, about. */
  records: number;
}

/** `yes`, `no`, or `unknown` where the server does not tell or was not asked yet. */
export type Finding = "yes" | "no" | "unknown";

/** What was found out about the server; pages are slow where something is `no`. */
export interface ServerFindings {
  /** Pages come from an index in order, instead of being sorted. */
  orderedPages: Finding;
  /** Attributes are found by wildcard indexes. */
  attributeIndexes: Finding;
}

export interface Collections {
  readonly findings: ServerFindings;
  /** The collection to write to; at its first use it is made with its indexes. */
  made(name: string): Promise<Collection<RecordDocument>>;
  /** The collection to read from; undefined where there is none. */
  known(name: string): Promise<KnownCollection | undefined>;
  /** As `known`, with the index for `source` order, which most collections never need: made unless it is there. */
  knownBySource(name: string): Promise<KnownCollection | undefined>;
  /** Has the next use look again. */
  forget(name: string): void;
}

interface State {
  known: KnownCollection;
  readAtMs: number;
}

/** What the operator should mend. */
export function adviceOf({ orderedPages, attributeIndexes }: ServerFindings): string | undefined {
  if (orderedPages === "no") return "pages are sorted one by one: switch on ordered indexes at the server, or upgrade it";
  if (attributeIndexes === "no")
    return "attributes are found by reading every record: this server has no wildcard indexes, make indexes of its own kind on attrs and nums";
  return undefined;
}

export function createCollections(connection: Connection, log: Log): Collections {
  const findings: ServerFindings = { orderedPages: "unknown", attributeIndexes: "unknown" };
  const states = new Map<string, State>();
  const collectionOf = async (name: string) => (await connection.db()).collection<RecordDocument>(recordCollection(name));
  const making = once(async (name) => {
    const collection = await collectionOf(name);
    await makeAllIndexes(collection);
    states.delete(name);
    return collection;
  });
  const makingSource = once(async (name) => {
    await makeIndexes(await collectionOf(name), [{ key: SORTS.source, name: INDEXES.source }]);
    states.delete(name);
  });
  const forget = (name: string) => {
    states.delete(name);
    making.forget(name);
    makingSource.forget(name);
  };
  const known = async (name: string) => {
    const state = states.get(name);
    if (state && performance.now() - state.readAtMs < STATE_TTL_MS) return state.known;
    const before = adviceOf(findings);
    const found = await lookAt(await collectionOf(name), findings);
    const advice = adviceOf(findings);
    if (advice !== undefined && advice !== before) log.warn("the index is slow", { collection: name, advice });
    if (found) states.set(name, { known: found, readAtMs: performance.now() });
    else forget(name);
    return found;
  };

  return {
    findings,
    made: making.of,
    known,
    async knownBySource(name) {
      const found = await known(name);
      if (!found || found.indexes.has(INDEXES.source)) return found;
      await makingSource.of(name);
      return known(name);
    },
    forget,
  };
}

/** Runs `work` once per name; one that failed is run again. */
function once<T>(work: (name: string) => Promise<T>) {
  const running = new Map<string, Promise<T>>();
  return {
    of(name: string): Promise<T> {
      const known = running.get(name);
      if (known) return known;
      const started = work(name);
      running.set(name, started);
      started.catch(() => running.delete(name));
      return started;
    },
    forget: (name: string) => running.delete(name),
  };
}

/** Codes of a server that knows no wildcard index: bad value, cannot create, unsupported. */
const REFUSALS: readonly (number | undefined)[] = [2, 9, 67, 72, 115, 197, 238];
/** All at once while the collection is empty, which is quick. A server without wildcard indexes gets the others. */
async function makeAllIndexes(collection: Collection<RecordDocument>): Promise<void> {
  try {
    await makeIndexes(collection, [...WILDCARDS, ...ORDINARY]);
  } catch (error) {
    if (!REFUSALS.includes(serverCode(error))) throw error;
    await makeIndexes(collection, ORDINARY);
  }
}

const NAMESPACE_MISSING = 26;

async function lookAt(collection: Collection<RecordDocument>, findings: ServerFindings): Promise<KnownCollection | undefined> {
  const [listed, records] = await Promise.all([listIndexes(collection), collection.estimatedDocumentCount()]);
  if (listed.length === 0) return undefined;
  const indexes = new Set(listed);
  findings.attributeIndexes = indexes.has(INDEXES.attrs) && indexes.has(INDEXES.nums) ? "yes" : "no";
  if (findings.orderedPages === "unknown" && indexes.has(INDEXES.time)) findings.orderedPages = await hasOrderedPages(collection);
  return { collection, indexes, records };
}

async function listIndexes(collection: Collection<RecordDocument>): Promise<string[]> {
  try {
    return (await collection.listIndexes().toArray()).map(({ name }) => String(name));
  } catch (error) {
    if (serverCode(error) === NAMESPACE_MISSING) return [];
    throw error;
  }
}

/** Whether the plan of a page has no stage that sorts. */
async function hasOrderedPages(collection: Collection<RecordDocument>): Promise<Finding> {
  try {
    const plan = await collection.find({}).sort(SORTS.publish).limit(1).hint(INDEXES.time).explain("queryPlanner");
    return /"stage":\s*"SORT"/i.test(JSON.stringify(plan)) ? "no" : "yes";
  } catch (error) {
    // Only an answer of the server says that it cannot tell.
    if (serverCode(error) === undefined) throw error;
    return "unknown";
  }
}
