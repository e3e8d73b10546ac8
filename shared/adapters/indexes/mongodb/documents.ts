import { sequenceRankOf, sourceKeyOf } from "../../../core/filter/order.ts";
import type { IndexedValue, IndexRecord } from "../../../core/index-record.ts";
import { comparableOf } from "../../../core/indexed-value.ts";
import { PLACE_FIELDS } from "../../../core/ports/metadata-index.ts";
import { fieldOf, nameOf } from "./names.ts";

type Many<T> = T | T[];

/** Fields that stand in the document as they are in the record. */
type PlainFields = Omit<IndexRecord, "unique_id" | "attributes" | "publish_time" | "ingestion_time" | "indexer_ingestion_time">;

/** An index record as stored, without its `_id` (the unique id). */
interface RecordFields extends PlainFields {
  publish_time: Date;
  ingestion_time?: Date;
  indexer_ingestion_time?: Date;
  /** The three times in milliseconds, where one is beyond what a date holds. */
  times?: number[];
  /** Field name to text, or null where the value has none; a list where the name repeats. */
  attrs: Map<string, Many<string | null>>;
  /** Field name to number, where the text is one. */
  nums?: Map<string, Many<number>>;
  /** The attributes as JSON, where `attrs` alone does not tell them exactly. */
  attributes?: string;
  /** What `source` order sorts by. */
  source_key: string;
  sequence_rank: bigint;
}

/** As the driver gives it back. */
export interface RecordDocument extends Omit<RecordFields, "attrs" | "nums"> {
  _id: string;
  attrs?: Record<string, Many<string | null>>;
}

/** The farthest that a date of JavaScript reaches, either way, in milliseconds. */
const MAX_DATE_MS = 8.64e15;

/** Parts of a document that reading leaves out: what is only searched. */
export const UNREAD = { nums: 0, source_key: 0, sequence_rank: 0 } as const;
/** What is read of places. */
export const READ_PLACES: Readonly<Record<string, 1>> = {
  ...Object.fromEntries(PLACE_FIELDS.filter((field) => field !== "unique_id").map((field) => [field, 1 as const])),
  times: 1,
};

/** A time as stored: one beyond a date's reach stands at its end. */
export function dateOf(ms: number): Date {
  return new Date(Math.max(-MAX_DATE_MS, Math.min(MAX_DATE_MS, ms)));
}

/** What is stored of a record. */
export function documentOf(record: IndexRecord): RecordFields {
  const { unique_id, attributes, publish_time, ingestion_time, indexer_ingestion_time, ...rest } = record;
  const times = [publish_time, ingestion_time, indexer_ingestion_time];
  return {
    ...rest,
    publish_time: dateOf(publish_time),
    ingestion_time: dateOf(ingestion_time),
    indexer_ingestion_time: dateOf(indexer_ingestion_time),
    times: times.some((ms) => Math.abs(ms) > MAX_DATE_MS) ? times : undefined,
    ...attributeFields(record),
    source_key: sourceKeyOf(record),
    sequence_rank: sequenceRankOf(record),
  };
}

/** A map keeps the order of names and takes any, unlike an object. */
function attributeFields(record: IndexRecord): Pick<RecordFields, "attrs" | "nums" | "attributes"> {
  const attrs: RecordFields["attrs"] = new Map();
  const nums: NonNullable<RecordFields["nums"]> = new Map();
  let isExact = true;
  for (const [name, value] of record.attributes) {
    const field = fieldOf(name);
    const { text, number } = comparableOf(record, name, value);
    isExact &&= text === value && !attrs.has(field) && nameOf(field) === name;
    add(attrs, field, text ?? null);
    if (number !== undefined) add(nums, field, number);
  }
  return { attrs, nums: nums.size > 0 ? nums : undefined, attributes: isExact ? undefined : JSON.stringify(record.attributes) };
}

function add<T>(fields: Map<string, Many<T>>, field: string, value: T): void {
  const before = fields.get(field);
  if (before === undefined) fields.set(field, value);
  else if (Array.isArray(before)) before.push(value);
  else fields.set(field, [before, value]);
}

/** The record of a document that was read without `UNREAD`, or by `READ_PLACES` (then it has no attributes). */
export function recordOf(document: RecordDocument): IndexRecord {
  const { _id, attrs, attributes, times, publish_time, ingestion_time, indexer_ingestion_time, ...rest } = document;
  return {
    unique_id: _id,
    ...rest,
    publish_time: times?.[0] ?? publish_time.getTime(),
    ingestion_time: times?.[1] ?? ingestion_time?.getTime() ?? 0,
    indexer_ingestion_time: times?.[2] ?? indexer_ingestion_time?.getTime() ?? 0,
    attributes: attributes === undefined ? attributesOf(attrs ?? {}) : (JSON.parse(attributes) as [string, IndexedValue][]),
  };
}

/** Of a document without `attributes` every field has one text, and every name can be read back. */
function attributesOf(attrs: NonNullable<RecordDocument["attrs"]>): [string, IndexedValue][] {
  return Object.entries(attrs).map(([field, text]) => [nameOf(field) ?? field, text as string]);
}
