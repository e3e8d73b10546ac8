import { z } from "zod";
import { type InputFault, InvalidInput } from "../../../core/errors.ts";
import { parseFilter } from "../../../core/filter/parse.ts";
import type { Listing, Page, PageRequest, Queries } from "../../../core/query/queries.ts";
import { renderRecord } from "../../../core/query/render-record.ts";
import { msToIso } from "../../../core/text.ts";
import type { Caller } from "../../auth/authorize.ts";
import { notFound } from "../problem.ts";
import { defineRoute, type Reply, type Route } from "../route.ts";
import { validated } from "../validate.ts";
import * as schemas from "./schemas.ts";

/** A collection that some pipeline writes into. */
export interface KnownCollection {
  name: string;
  pipelines: readonly string[];
}

export interface IndexerDeps {
  queries: Queries;
  /** The collections that there are; asked at each request. */
  collections(): readonly KnownCollection[];
}

const TAGS = ["Indexer"];

/** The Indexer API; to be mounted under `/indexer`. */
export function indexerRoutes({ queries, collections }: IndexerDeps): Route[] {
  const checkReadable = (name: string, caller: Caller) => {
    // One answer for both: a caller does not learn what there is that it may not read.
    if (!collections().some((known) => known.name === name) || !caller.canRead(name))
      throw notFound(`there is no collection ${JSON.stringify(name.slice(0, 100))}`);
  };
  const pageOf = async (listing: Listing, request: PageRequest, caller: Caller): Promise<Reply> => {
    checkReadable(listing.collection, caller);
    return { body: renderPage(await queries.page(listing, request)) };
  };

  const exact = defineRoute({
    method: "GET",
    path: "/exact/{collection}/{id}",
    operationId: "getRecord",
    summary: "One record by its unique id",
    tags: TAGS,
    params: schemas.recordParams,
    responses: { 200: { description: "The record.", schema: schemas.recordSchema } },
    async handler({ params: { collection, id }, caller }) {
      checkReadable(collection, caller);
      const record = await queries.getOne(collection, id);
      if (!record) throw notFound(`collection ${collection} has no record of this id`);
      return { body: renderRecord(record) };
    },
  });

  const all = defineRoute({
    method: "POST",
    path: "/all/{collection}",
    operationId: "getRecords",
    summary: "Records by their unique ids, in the order asked, each once",
    tags: TAGS,
    params: schemas.collectionParams,
    body: schemas.idsBody,
    responses: { 200: { description: "The records that there are, and the ids that have none.", schema: schemas.allSchema } },
    async handler({ params: { collection }, body, caller }) {
      checkReadable(collection, caller);
      const { records, missing } = await queries.getMany(collection, body.ids);
      return { body: { messages: records.map(renderRecord), missing } };
    },
  });

  const range = defineRoute({
    method: "GET",
    path: "/range/{collection}/{broker_id}",
    operationId: "listRange",
    summary: "Records of one broker id by publish time",
    tags: TAGS,
    params: schemas.rangeParams,
    query: schemas.rangeQuery,
    responses: { 200: { description: "A page, by publish time and unique id.", schema: schemas.pageSchema } },
    handler({ params, query: { from, to, ...paging }, caller }) {
      checkOrder(from, to);
      const listing: Listing = {
        kind: "range",
        collection: params.collection,
        brokerId: params.broker_id,
        fromMs: from ?? null,
        toMs: to ?? null,
      };
      return pageOf(listing, paging, caller);
    },
  });

  const query = defineRoute({
    method: "POST",
    path: "/query/{collection}",
    operationId: "queryRecords",
    summary: "Records that match a filter",
    description: "Paging may stand in the query string or in the body; where it stands in both, both must say the same.",
    tags: TAGS,
    params: schemas.collectionParams,
    query: schemas.pagingQuery,
    body: z.unknown(),
    bodyDoc: schemas.queryBodyDoc,
    bodyInHeader: true,
    responses: { 200: { description: "A page, by publish time and unique id.", schema: schemas.pageSchema } },
    async handler({ params: { collection }, query: inQuery, body, caller }) {
      checkReadable(collection, caller);
      const { paging, filter } = splitBody(body);
      return pageOf({ kind: "filter", collection, filter: parseFilter(filter) }, merged(inQuery, paging), caller);
    },
  });

  const list = defineRoute({
    method: "GET",
    path: "/collections",
    operationId: "listCollections",
    summary: "The collections that the caller may read",
    tags: TAGS,
    responses: { 200: { description: "The collections by name.", schema: schemas.collectionsSchema } },
    async handler({ caller }) {
      const readable = collections().filter(({ name }) => caller.canRead(name));
      const found = await queries.collections(readable.toSorted((a, b) => (a.name < b.name ? -1 : 1)));
      return {
        body: {
          collections: found.map(({ name, pipelines, records, firstPublishTimeMs, lastPublishTimeMs }) => ({
            name,
            pipelines,
            records,
            first_publish_time: timeOrNull(firstPublishTimeMs),
            last_publish_time: timeOrNull(lastPublishTimeMs),
          })),
        },
      };
    },
  });

  const stats = defineRoute({
    method: "GET",
    path: "/stats/{collection}",
    operationId: "getStats",
    summary: "Messages and bytes by time and broker id",
    tags: TAGS,
    params: schemas.collectionParams,
    query: schemas.statsQuery,
    responses: { 200: { description: "The buckets that hold anything, by time.", schema: schemas.statsSchema } },
    async handler({ params: { collection }, query: { from, to, bucket }, caller }) {
      checkReadable(collection, caller);
      checkOrder(from, to);
      const found = await queries.stats({ collection, fromMs: from, toMs: to, bucketMs: schemas.BUCKETS_MS[bucket] });
      return {
        body: { buckets: found.map(({ start, broker_id, count, bytes }) => ({ start: timeOrNull(start), broker_id, count, bytes })) },
      };
    },
  });

  return [exact, all, range, query, list, stats];
}

function renderPage({ records, limit, offset, cursor, totalCount }: Page) {
  return { messages: records.map(renderRecord), returned_count: records.length, limit, offset, cursor, total_count: totalCount };
}

function timeOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : msToIso(ms);
}

function checkOrder(fromMs: number | undefined, toMs: number | undefined): void {
  if (fromMs === undefined || toMs === undefined || fromMs <= toMs) return;
  throw new InvalidInput("reading the query: to lies before from", [{ path: "to", message: "lies before from" }]);
}

/** What of a query's body is paging, and what is the filter. */
function splitBody(body: unknown): { paging: PageRequest; filter: unknown } {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return { paging: {}, filter: body };
  const isPaging = ([name]: [string, unknown]) => schemas.PAGING_NAMES.includes(name);
  const entries = Object.entries(body);
  const paging = validated(schemas.pagingBody, Object.fromEntries(entries.filter(isPaging)), "the body");
  return { paging, filter: Object.fromEntries(entries.filter((entry) => !isPaging(entry))) };
}

/** Paging from both places. Throws InvalidInput where they differ. */
function merged(inQuery: PageRequest, inBody: PageRequest): PageRequest {
  const faults: InputFault[] = [];
  for (const [name, value] of Object.entries(inBody)) {
    const other = inQuery[name as keyof PageRequest];
    if (other !== undefined && other !== value)
      faults.push({ path: name, message: "is given in the query string and in the body, with different values" });
  }
  if (faults[0]) throw new InvalidInput(`reading the query: ${faults[0].path} ${faults[0].message}`, faults);
  return { ...inQuery, ...inBody };
}
