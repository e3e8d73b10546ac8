import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Filter, Operand } from "../../../core/filter/ast.ts";
import { type FilterSubject, predicateOf } from "../../../core/filter/evaluate.ts";
import type { FindOptions, IndexSummary } from "../../../core/ports/metadata-index.ts";
import type { Candidate } from "./candidates.ts";
import { cellOf } from "./compile.ts";
import { orderBy, type PlanContext, planAll, planFind } from "./plan.ts";
import { createRowReader, ROW_COLUMNS, type Rows } from "./rows.ts";
import { concat, type Sql, sql } from "./sql.ts";

export interface IndexReader {
  get(collection: string, ids: readonly string[]): Rows;
  find(collection: string, options: FindOptions): Rows;
  summarize(collection: string, filter: Filter, bucketMs?: number): IndexSummary[];
}

const MIN_GATHERED = 200;
const MAX_GATHERED = 200_000;
const MAX_STATEMENTS = 100;
/** Shorter lists are written into the statement. */
const MAX_INLINE_VALUES = 16;

const NO_ROWS: Rows = { slices: [], objects: {} };

export function createIndexReader(database: DatabaseSync): IndexReader {
  const statements = statementCache(database);
  const questions = questionContext(database, statements);
  const rows = createRowReader(database);
  const byId = database.prepare(`SELECT ${ROW_COLUMNS} FROM record r WHERE r.collection = ? AND r.unique_id = ?`);
  byId.setReturnArrays(true);

  return {
    get(name, ids) {
      const collection = questions.collectionOf(name);
      if (!collection) return NO_ROWS;
      return rows.of(ids.flatMap((id) => byId.all(collection.id, id) as unknown as [string, number][]));
    },
    find(name, { filter, order, after, offset = 0, limit }) {
      const collection = questions.collectionOf(name);
      if (!collection || limit <= 0) return NO_ROWS;
      const gatherLimit = Math.min(MAX_GATHERED, Math.max(MIN_GATHERED, Math.sqrt((limit + offset) * collection.records)));
      const plan = planFind({ filter, order, after, gatherLimit: Math.floor(gatherLimit) }, questions.contextOf(collection.id));
      const page = concat("", plan.source, sql(` ${orderBy(order, plan)} LIMIT ? OFFSET ?`, limit, offset));
      const chosen = plan.isWalk ? concat(" ", sql(`SELECT ${ROW_COLUMNS}`), page) : rowsOfPage(page, orderBy(order, plan));
      const statement = statements.get(chosen.text);
      statement.setReturnArrays(true);
      return rows.of(statement.all(...chosen.params) as unknown as [string, number][]);
    },
    summarize(name, filter, bucketMs) {
      const collection = questions.collectionOf(name);
      if (!collection) return bucketMs === undefined ? [{ count: 0, bytes: 0, objects: 0 }] : [];
      const source = planAll(filter, Math.floor(collection.records / 3), questions.contextOf(collection.id));
      const asked = bucketMs === undefined ? total(source) : buckets(source, bucketMs);
      return statements.get(asked.text).all(...asked.params).map((row) => summaryOf(row));
    },
  };
}

/** Rows are made up only for the page's records, not for all that were sorted. */
function rowsOfPage(page: Sql, order: string): Sql {
  return concat("", sql(`SELECT ${ROW_COLUMNS} FROM (SELECT r.id AS id `), page, sql(`) p CROSS JOIN record r NOT INDEXED ON r.id = p.id ${order}`));
}

const SUMS = "count(*) AS count, sum(r.payload_size) AS bytes, min(r.publish_time) AS first_publish_time, max(r.publish_time) AS last_publish_time";

function total(source: Sql): Sql {
  return concat(" ", sql(`SELECT ${SUMS}, count(DISTINCT r.object) AS objects`), source);
}

/** Times before 1970 belong to the bucket that starts before them. */
function buckets(source: Sql, bucketMs: number): Sql {
  const start = sql("SELECT r.publish_time - (r.publish_time % ?1 + ?1) % ?1 AS start, r.broker_id AS broker_id,".replaceAll("?1", String(Math.trunc(bucketMs))));
  return concat(" ", start, sql(SUMS), source, sql("GROUP BY 1, 2 ORDER BY 1, 2"));
}

function summaryOf(row: Record<string, unknown>): IndexSummary {
  const summary = { ...row, bytes: row["bytes"] ?? 0 };
  return Object.fromEntries(Object.entries(summary).filter(([, value]) => value !== null)) as unknown as IndexSummary;
}

interface Collection {
  id: number;
  records: number;
}

/** What compiling and planning ask of the database, and how a compiled filter's calls come back to JavaScript. */
function questionContext(database: DatabaseSync, statements: { get(text: string): StatementSync }) {
  database.exec("CREATE TEMP TABLE operand (list INTEGER, v, PRIMARY KEY (list, v)) WITHOUT ROWID");
  const addOperand = database.prepare("INSERT OR IGNORE INTO temp.operand VALUES (?, ?)");
  const collection = database.prepare("SELECT id, records FROM collection WHERE name = ?");
  const name = database.prepare("SELECT k FROM attribute_name WHERE collection = ? AND name = ?");
  let predicates: ((record: FilterSubject) => boolean)[] = [];
  let lists = new Map<readonly Operand[], Sql>();
  let tables = 0;
  database.function("attribute_matches", (slot: number, attributes: string, truncated: string | null) => {
    const subject = { attributes: JSON.parse(attributes), truncated_attributes: truncated === null ? undefined : JSON.parse(truncated) };
    return predicates[slot]?.(subject) ? 1 : 0;
  });

  const addList = (values: readonly Operand[]): Sql => {
    if (values.length <= MAX_INLINE_VALUES) return sql(`(${values.map(() => "?").join(", ")})`, ...values.map(cellOf));
    const list = tables++;
    for (const value of values) addOperand.run(list, cellOf(value));
    return sql("(SELECT o.v FROM temp.operand o WHERE o.list = ?)", list);
  };
  return {
    collectionOf: (collectionName: string) => collection.get(collectionName) as Collection | undefined,
    /** The context of one question; that of the one before is no longer of use then. */
    contextOf(id: number): PlanContext {
      predicates = [];
      lists = new Map();
      if (tables > 0) database.exec("DELETE FROM temp.operand");
      tables = 0;
      return {
        collection: id,
        keyOf: (attribute) => name.get(id, attribute)?.["k"] as number | undefined,
        listOf(values) {
          const known = lists.get(values) ?? addList(values);
          lists.set(values, known);
          return known;
        },
        callOf: (filter) => sql("attribute_matches(?, r.attributes, r.truncated_attributes)", predicates.push(predicateOf(filter)) - 1),
        probe: (candidate, limit) => countUpTo(candidate, limit, statements),
      };
    },
  };
}

function countUpTo(candidate: Candidate, limit: number, statements: { get(text: string): StatementSync }): number {
  let count = 0;
  for (const { text, params } of candidate) {
    const statement = statements.get(`SELECT count(*) AS count FROM (${text} LIMIT ?)`);
    count += statement.get(...params, limit + 1 - count)?.["count"] as number;
    if (count > limit) return count;
  }
  return count;
}

/** Prepared statements, the oldest dropped where there are too many. */
function statementCache(database: DatabaseSync) {
  const cached = new Map<string, StatementSync>();
  return {
    get(text: string): StatementSync {
      const known = cached.get(text);
      cached.delete(text);
      const statement = known ?? database.prepare(text);
      cached.set(text, statement);
      const [oldest] = cached.keys();
      if (cached.size > MAX_STATEMENTS && oldest !== undefined) cached.delete(oldest);
      return statement;
    },
  };
}
