import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { IndexRecord } from "../../../core/index-record.ts";
import { comparableOf } from "../../../core/indexed-value.ts";
import { EXISTS_MARK, REPEATED_MARK } from "./index-schema.ts";

/** Gathers the rows of the attribute table and writes them in the table's order, so that each page is visited once a batch. */
export interface AttributeRows {
  add(collection: number, id: number, record: IndexRecord): void;
  /** Writes what was gathered. */
  flush(): void;
  /** Forgets what was gathered and every name's id: after a rollback they may not exist. */
  reset(): void;
}

/** Publish time and record id by turns. */
type Postings = number[];

interface Bucket {
  k: number;
  numbers: Map<number, Postings>;
  texts: Map<string, Postings>;
  valueless: Postings;
  repeated: Postings;
  lastId: number;
}

/** Rows of one INSERT: a call of a statement costs about as much as four rows. */
const ROWS_PER_INSERT = 32;
const MAX_CACHED_NAMES = 50_000;

export function createAttributeRows(database: DatabaseSync): AttributeRows {
  const insertMany = database.prepare(`INSERT INTO attribute VALUES ${Array(ROWS_PER_INSERT).fill("(?, ?, ?, ?)").join(", ")}`);
  const insertOne = database.prepare("INSERT INTO attribute VALUES (?, ?, ?, ?)");
  const keyOf = nameKeys(database);
  const collections = new Map<number, Map<string, Bucket>>();

  const bucketOf = (collection: number, name: string): Bucket => {
    let buckets = collections.get(collection);
    if (!buckets) {
      buckets = new Map();
      collections.set(collection, buckets);
    }
    let bucket = buckets.get(name);
    if (!bucket) {
      bucket = { k: keyOf(collection, name), numbers: new Map(), texts: new Map(), valueless: [], repeated: [], lastId: -1 };
      buckets.set(name, bucket);
    }
    return bucket;
  };

  return {
    add(collection, id, record) {
      const time = record.publish_time;
      for (const [name, value] of record.attributes) {
        const bucket = bucketOf(collection, name);
        if (bucket.lastId === id) post(bucket.repeated, time, id);
        bucket.lastId = id;
        const { text, number } = comparableOf(record, name, value);
        if (text === undefined) post(bucket.valueless, time, id);
        else postTo(bucket.texts, text, time, id);
        if (number !== undefined) postTo(bucket.numbers, number, time, id);
      }
    },
    flush() {
      const buckets = [...collections.values()].flatMap((named) => [...named.values()]).sort((a, b) => a.k - b.k);
      writeRows(buckets, insertMany, insertOne);
      collections.clear();
    },
    reset() {
      collections.clear();
      keyOf.clear();
    },
  };
}

/** A record's values come one after the other, so an equal one is the last posted: it gets no second row. */
function post(postings: Postings, time: number, id: number): void {
  if (postings[postings.length - 1] !== id) postings.push(time, id);
}

function postTo<T>(values: Map<T, Postings>, value: T, time: number, id: number): void {
  const postings = values.get(value);
  if (postings) post(postings, time, id);
  else values.set(value, [time, id]);
}

type Cell = number | string | Uint8Array;

function writeRows(buckets: readonly Bucket[], insertMany: StatementSync, insertOne: StatementSync): void {
  let cells: Cell[] = [];
  const write = (k: number, v: Cell, postings: Postings) => {
    for (let i = 0; i < postings.length; i += 2) {
      cells.push(k, v, postings[i] as number, postings[i + 1] as number);
      if (cells.length < ROWS_PER_INSERT * 4) continue;
      insertMany.run(...cells);
      cells = [];
    }
  };
  for (const { k, numbers, texts, valueless, repeated } of buckets) {
    for (const number of Float64Array.from(numbers.keys()).sort()) write(k, number, numbers.get(number) as Postings);
    for (const text of [...texts.keys()].sort()) write(k, text, texts.get(text) as Postings);
    write(k, EXISTS_MARK, valueless);
    write(k, REPEATED_MARK, repeated);
  }
  for (let i = 0; i < cells.length; i += 4) insertOne.run(...cells.slice(i, i + 4));
}

interface NameKeys {
  (collection: number, name: string): number;
  clear(): void;
}

/** Ids of (collection, name), made where there is none; remembered until there are too many. */
function nameKeys(database: DatabaseSync): NameKeys {
  const insert = database.prepare("INSERT INTO attribute_name (collection, name) VALUES (?, ?) ON CONFLICT DO NOTHING");
  const select = database.prepare("SELECT k FROM attribute_name WHERE collection = ? AND name = ?");
  const cached = new Map<string, number>();
  const keyOf = (collection: number, name: string): number => {
    const cacheKey = `${collection} ${name}`;
    const known = cached.get(cacheKey);
    if (known !== undefined) return known;
    insert.run(collection, name);
    const k = select.get(collection, name)?.["k"] as number;
    if (cached.size >= MAX_CACHED_NAMES) cached.clear();
    cached.set(cacheKey, k);
    return k;
  };
  return Object.assign(keyOf, { clear: () => cached.clear() });
}
