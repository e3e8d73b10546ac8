import type { DatabaseSync } from "node:sqlite";
import type { Filter } from "../../../core/filter/ast.ts";
import { positionOf } from "../../../core/filter/order.ts";
import type { FindOptions, IndexSummary } from "../../../core/ports/metadata-index.ts";
import { orderBy, planAll, planFind } from "./plan.ts";
import { createQuestions, createStatements } from "./questions.ts";
import { createRowReader, PLACE_COLUMNS, ROW_COLUMNS, type Rows } from "./rows.ts";
import { MAX_GATHERED_ROWS, WALK_RECORDS } from "./settings.ts";
import { concat, type Sql, sql } from "./sql.ts";

export interface IndexReader {
  get(collection: string, ids: readonly string[]): Rows;
  /** May stop short of the limit: `next` then says where to go on. */
  find(collection: string, options: FindOptions): Rows;
  summarize(collection: string, filter: Filter, bucketMs?: number): IndexSummary[];
}

const MIN_GATHERED = 200;
const MAX_GATHERED = 200_000;

const NO_ROWS: Rows = { count: 0, slices: [], objects: {} };

export function createIndexReader(database: DatabaseSync): IndexReader {
  const statements = createStatements(database);
  const rows = createRowReader(database);
  const questions = createQuestions(database, statements, rows);
  const byId = database.prepare(`SELECT ${ROW_COLUMNS} FROM record r WHERE r.collection = ? AND r.unique_id = ?`);
  byId.setReturnArrays(true);

  return {
    get(name, ids) {
      const collection = questions.collectionOf(name);
      if (!collection) return NO_ROWS;
      return rows.of(ids.flatMap((id) => byId.all(collection.id, id) as unknown as [string, number][]));
    },
    find(name, { filter, order, after, offset = 0, limit, withoutAttributes = false }) {
      const collection = questions.collectionOf(name);
      if (!collection || limit <= 0) return NO_ROWS;
      const gatherLimit = Math.min(MAX_GATHERED, Math.max(MIN_GATHERED, Math.sqrt((limit + offset) * collection.records)));
      const plan = planFind({ filter, order, after, gatherLimit: Math.floor(gatherLimit) }, questions.contextOf(collection.id));
      const count = Math.min(limit, plan.isWalk ? WALK_RECORDS : MAX_GATHERED_ROWS);
      const page = concat("", plan.source, sql(` ${orderBy(order, plan)} LIMIT ? OFFSET ?`, count, offset));
      const columns = withoutAttributes ? PLACE_COLUMNS : ROW_COLUMNS;
      const chosen = plan.isWalk ? concat(" ", sql(`SELECT ${columns}`), page) : rowsOfPage(columns, page, orderBy(order, plan));
      const statement = statements.get(chosen.text);
      statement.setReturnArrays(true);
      const selected = statement.all(...chosen.params) as unknown as [string, number][];
      const last = selected.at(-1);
      const next = last && selected.length === count && count < limit ? positionOf(rows.recordOf(...last), order) : undefined;
      return { ...rows.of(selected), next };
    },
    summarize(name, filter, bucketMs) {
      const collection = questions.collectionOf(name);
      if (!collection) return bucketMs === undefined ? [{ count: 0, bytes: 0, objects: 0 }] : [];
      const source = planAll(filter, Math.floor(collection.records / 3), questions.contextOf(collection.id));
      const asked = bucketMs === undefined ? total(source) : buckets(source, bucketMs);
      return statements
        .get(asked.text)
        .all(...asked.params)
        .map((row) => summaryOf(row));
    },
  };
}

/** Rows are made up only for the page's records, not for all that were sorted. */
function rowsOfPage(columns: string, page: Sql, order: string): Sql {
  return concat(
    "",
    sql(`SELECT ${columns} FROM (SELECT r.id AS id `),
    page,
    sql(`) p CROSS JOIN record r NOT INDEXED ON r.id = p.id ${order}`),
  );
}

const SUMS =
  "count(*) AS count, sum(r.payload_size) AS bytes, min(r.publish_time) AS first_publish_time, max(r.publish_time) AS last_publish_time";

function total(source: Sql): Sql {
  return concat(" ", sql(`SELECT ${SUMS}, count(DISTINCT r.object) AS objects`), source);
}

/** Times before 1970 belong to the bucket that starts before them. */
function buckets(source: Sql, bucketMs: number): Sql {
  const start = sql(
    "SELECT r.publish_time - (r.publish_time % ? + ?) % ? AS start, r.broker_id AS broker_id,",
    bucketMs,
    bucketMs,
    bucketMs,
  );
  return concat(" ", start, sql(SUMS), source, sql("GROUP BY 1, 2 ORDER BY 1, 2"));
}

function summaryOf(row: Record<string, unknown>): IndexSummary {
  const summary = { ...row, bytes: row["bytes"] ?? 0 };
  return Object.fromEntries(Object.entries(summary).filter(([, value]) => value !== null)) as unknown as IndexSummary;
}
