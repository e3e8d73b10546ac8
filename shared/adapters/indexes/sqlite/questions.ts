import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Filter, Operand } from "../../../core/filter/ast.ts";
import { type FilterSubject, predicateOf } from "../../../core/filter/evaluate.ts";
import type { Candidate } from "./candidates.ts";
import { cellOf } from "./compile.ts";
import { REPEATED_MARK } from "./index-schema.ts";
import type { PlanContext } from "./plan.ts";
import { type createRowReader, ROW_COLUMNS } from "./rows.ts";
import { type Sql, sql } from "./sql.ts";

const MAX_STATEMENTS = 100;
/** Shorter lists are written into the statement. */
const MAX_INLINE_VALUES = 16;

/** Prepared statements by their text. */
export interface Statements {
  get(text: string): StatementSync;
}

/** What the index knows of a collection. */
export interface Collection {
  id: number;
  records: number;
}

const RECORD_MATCHES = `record_matches(?, ${ROW_COLUMNS.replace(/ AS \w+/g, "")})`;

function namesOnlyAttributes(filter: Filter): boolean {
  if (filter.op === "not") return namesOnlyAttributes(filter.of);
  if (filter.op === "all" || filter.op === "any") return filter.of.every(namesOnlyAttributes);
  return filter.field.kind === "attribute";
}

/** What compiling and planning ask of the database, and how a compiled filter's calls come back to JavaScript. */
export function createQuestions(database: DatabaseSync, statements: Statements, rows: ReturnType<typeof createRowReader>) {
  database.exec("CREATE TEMP TABLE operand (list INTEGER, v, PRIMARY KEY (list, v)) WITHOUT ROWID");
  const addOperand = database.prepare("INSERT OR IGNORE INTO temp.operand VALUES (?, ?)");
  const collection = database.prepare("SELECT id, records FROM collection WHERE name = ?");
  const name = database.prepare("SELECT k FROM attribute_name WHERE collection = ? AND name = ?");
  const repeated = database.prepare("SELECT 1 FROM attribute WHERE k = ? AND v = ? LIMIT 1");
  let predicates: ((record: FilterSubject) => boolean)[] = [];
  const test = (slot: unknown, subject: FilterSubject) => (predicates[slot as number]?.(subject) ? 1 : 0);
  let lists = new Map<readonly Operand[], Sql>();
  let tables = 0;
  database.function("attributes_match", (slot, attributes, truncated) =>
    test(slot, {
      attributes: JSON.parse(attributes as string),
      truncated_attributes: truncated === null ? undefined : JSON.parse(truncated as string),
    }),
  );
  database.function("record_matches", (slot, json, object) => test(slot, rows.recordOf(json as string, object as number)));

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
        isRepeated(attribute) {
          const k = name.get(id, attribute)?.["k"];
          return k !== undefined && repeated.get(k, REPEATED_MARK) !== undefined;
        },
        listOf(values) {
          const known = lists.get(values) ?? addList(values);
          lists.set(values, known);
          return known;
        },
        callOf(filter) {
          const slot = predicates.push(predicateOf(filter)) - 1;
          return sql(namesOnlyAttributes(filter) ? "attributes_match(?, r.attributes, r.truncated_attributes)" : RECORD_MATCHES, slot);
        },
        probe: (candidate, limit) => countUpTo(candidate, limit, statements),
      };
    },
  };
}

function countUpTo(candidate: Candidate, limit: number, statements: Statements): number {
  let count = 0;
  for (const { text, params } of candidate.selections) {
    const statement = statements.get(`SELECT count(*) AS count FROM (${text} LIMIT ?)`);
    count += statement.get(...params, limit + 1 - count)?.["count"] as number;
    if (count > limit) return count;
  }
  return count;
}

/** Keeps prepared statements, the oldest dropped where there are too many. */
export function createStatements(database: DatabaseSync): Statements {
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
