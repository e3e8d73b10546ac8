import type { Clock } from "../clock.ts";
import { InvalidInput, Overloaded } from "../errors.ts";
import { type Filter, MATCH_ALL } from "../filter/ast.ts";
import type { IndexRecord } from "../index-record.ts";
import type { IndexSummary, MetadataIndex } from "../ports/metadata-index.ts";
import { type CursorPosition, type Cursors, cursorFault } from "./cursor.ts";

export const DEFAULT_PAGE_LIMIT = 100;
export const MAX_PAGE_LIMIT = 1000;
/** Records that may be passed over by `offset`; past them a cursor is as quick as at the start. */
export const MAX_OFFSET = 10_000;
/** Ids of one `getMany`. */
export const MAX_IDS = 10_000;
/** Time buckets that one `stats` may span. */
export const MAX_BUCKETS = 50_000;

const DEFAULT_MAX_HEAVY = 32;
/** A collection's summary is kept this many times as long as it took, so that asking for it costs at most a tenth of the time. */
const SUMMARY_KEPT_FOR = 10;

/** Which records a page is of. Times are milliseconds; bounds are half-open. */
export type Listing =
  | { kind: "range"; collection: string; brokerId: string; fromMs: number | null; toMs: number | null }
  | { kind: "filter"; collection: string; filter: Filter };

export interface PageRequest {
  /** Default 100, at most 1,000. */
  limit?: number;
  /** Default 0, at most 10,000; not together with a cursor. */
  offset?: number;
  /** Where an earlier page of the same listing ended. */
  cursor?: string;
  /** Also count all records of the listing. Default false. */
  count?: boolean;
}

export interface Page {
  records: IndexRecord[];
  limit: number;
  offset: number;
  /** Null at the end. */
  cursor: string | null;
  totalCount?: number;
}

export interface CollectionSummary {
  name: string;
  pipelines: readonly string[];
  /** How many there were a moment ago. */
  records: number;
  firstPublishTimeMs?: number;
  lastPublishTimeMs?: number;
}

export interface StatsRequest {
  collection: string;
  fromMs: number;
  toMs: number;
  bucketMs: number;
}

export interface QueryDeps {
  index: MetadataIndex;
  clock: Clock;
  cursors: Cursors;
  /** Searches that read more than a page's keys and are under way at once; past them callers get Overloaded. Default 32. */
  maxHeavy?: number;
}

/** What is asked of the index. All throw IndexError, and InvalidInput with the place where the request is wrong. */
export interface Queries {
  getOne(collection: string, id: string): Promise<IndexRecord | undefined>;
  /** The records of the ids in the order asked, each once, and the ids that have none. */
  getMany(collection: string, ids: readonly string[]): Promise<{ records: IndexRecord[]; missing: string[] }>;
  /** One page, by publish time and unique id. Throws Overloaded where too many searches run. */
  page(listing: Listing, request: PageRequest): Promise<Page>;
  collections(known: readonly { name: string; pipelines: readonly string[] }[]): Promise<CollectionSummary[]>;
  /** Count and bytes by time bucket and broker id. Throws Overloaded where too many searches run. */
  stats(request: StatsRequest): Promise<IndexSummary[]>;
}

/** The Indexer API's use cases over an index. */
export function createQueries({ index, clock, cursors, maxHeavy = DEFAULT_MAX_HEAVY }: QueryDeps): Queries {
  const heavy = atMost(maxHeavy);
  const summarize = keptSummaries(index, clock);
  return {
    async getOne(collection, id) {
      return (await index.get(collection, [id]))[0];
    },
    async getMany(collection, ids) {
      const asked = [...new Set(ids)];
      if (asked.length > MAX_IDS) throw tooMany("ids", `holds more than ${MAX_IDS} ids; ask in several requests`);
      const found = new Map((await index.get(collection, asked)).map((record) => [record.unique_id, record]));
      const records = asked.map((id) => found.get(id)).filter((record) => record !== undefined);
      return { records, missing: asked.filter((id) => !found.has(id)) };
    },
    page(listing, request) {
      const isLight = listing.kind === "range" && !request.count && !request.offset;
      return isLight ? readPage(listing, request) : heavy(() => readPage(listing, request));
    },
    collections: (known) =>
      heavy(() => Promise.all(known.map(async ({ name, pipelines }) => ({ name, pipelines, ...(await summarize(name)) })))),
    stats({ collection, fromMs, toMs, bucketMs }) {
      if ((toMs - fromMs) / bucketMs > MAX_BUCKETS)
        throw tooMany("bucket", `makes more than ${MAX_BUCKETS} buckets of this range; take a longer one or a shorter range`);
      return heavy(() => index.summarize(collection, bounds(fromMs, toMs), bucketMs));
    },
  };

  async function readPage(listing: Listing, { limit = DEFAULT_PAGE_LIMIT, offset = 0, cursor, count }: PageRequest): Promise<Page> {
    if (cursor !== undefined && offset > 0) throw cursorFault("stands together with an offset; give one of them");
    const query = describe(listing);
    const from = cursor === undefined ? undefined : cursors.open(query, cursor);
    const upperBoundMs = from ? from.upperBoundMs : upperBoundOf(listing, clock);
    const filter = filterOf(listing, upperBoundMs);
    const after = from && ({ order: "publish", publish_time: from.publishTimeMs, unique_id: from.uniqueId } as const);
    const [records, totals] = await Promise.all([
      // One more than asked tells whether there is a next page.
      index.find(listing.collection, { filter, order: "publish", after, offset, limit: limit + 1 }),
      count ? index.summarize(listing.collection, filter) : undefined,
    ]);
    const next = records.length > limit ? positionBehind(records[limit - 1], upperBoundMs) : undefined;
    return {
      records: records.slice(0, limit),
      limit,
      offset,
      cursor: next ? cursors.seal(query, next) : null,
      totalCount: totals && (totals[0]?.count ?? 0),
    };
  }
}

function positionBehind(record: IndexRecord | undefined, upperBoundMs: number | null): CursorPosition | undefined {
  return record && { publishTimeMs: record.publish_time, uniqueId: record.unique_id, upperBoundMs };
}

/** What a cursor is bound to: the listing as it was asked for. */
function describe(listing: Listing): string {
  return JSON.stringify(listing);
}

/** A range without an end goes up to now; its further pages keep to the now of the first, so that it comes to an end. */
function upperBoundOf(listing: Listing, clock: Clock): number | null {
  return listing.kind === "range" ? (listing.toMs ?? clock.nowMs()) : null;
}

function filterOf(listing: Listing, upperBoundMs: number | null): Filter {
  if (listing.kind === "filter") return listing.filter;
  const broker: Filter = { op: "$eq", field: { kind: "record", name: "broker_id" }, value: listing.brokerId };
  return { op: "all", of: [broker, bounds(listing.fromMs, upperBoundMs)] };
}

function bounds(fromMs: number | null, toMs: number | null): Filter {
  const field = { kind: "record", name: "publish_time" } as const;
  const of: Filter[] = [];
  if (fromMs !== null) of.push({ op: "$gte", field, value: fromMs });
  if (toMs !== null) of.push({ op: "$lt", field, value: toMs });
  return { op: "all", of };
}

function tooMany(path: string, message: string): InvalidInput {
  return new InvalidInput(`reading the request: ${path} ${message}`, [{ path, message }]);
}

/** Runs at most `limit` at once. */
function atMost(limit: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  return async (work) => {
    if (running >= limit) throw new Overloaded(`searching the index: ${limit} searches run already; repeat the request a little later`);
    running++;
    try {
      return await work();
    } finally {
      running--;
    }
  };
}

type Summary = Omit<CollectionSummary, "name" | "pipelines">;

/** Summaries of whole collections, each kept for a while in proportion to what it cost; calls at the same time share one. */
function keptSummaries(index: MetadataIndex, clock: Clock): (collection: string) => Promise<Summary> {
  const kept = new Map<string, { summary: Promise<Summary>; untilMs: number }>();
  return (collection) => {
    const known = kept.get(collection);
    if (known && clock.nowMs() < known.untilMs) return known.summary;
    const startMs = clock.nowMs();
    const entry = { summary: summaryOf(index, collection), untilMs: Number.POSITIVE_INFINITY };
    kept.set(collection, entry);
    entry.summary.then(
      () => {
        const endMs = clock.nowMs();
        entry.untilMs = endMs + SUMMARY_KEPT_FOR * (endMs - startMs);
      },
      () => kept.delete(collection),
    );
    return entry.summary;
  };
}

async function summaryOf(index: MetadataIndex, collection: string): Promise<Summary> {
  const [all] = await index.summarize(collection, MATCH_ALL);
  return { records: all?.count ?? 0, firstPublishTimeMs: all?.first_publish_time, lastPublishTimeMs: all?.last_publish_time };
}
