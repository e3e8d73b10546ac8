import type { IndexedValue, IndexRecord } from "../index-record.ts";
import { msToIso } from "../text.ts";

/** A value of `additional_metadata`: of a name that stands once, or all of a repeated one in their order. */
export type RenderedValue = IndexedValue | { readonly $repeated: readonly IndexedValue[] };

/** An index record as callers see it: times in RFC 3339, attributes as an object, absent fields left out. */
export interface RenderedRecord {
  unique_id: string;
  broker_id: string;
  broker_msg_id: string;
  ordering_key?: string;
  business_source_key?: string;
  business_object_key?: string;
  index_source_key?: string;
  partition?: string;
  sequence?: number | string;
  store: string;
  location_key: string;
  location_position: number;
  payload_size: number;
  content_type?: string;
  digest: string;
  publish_time: string;
  ingestion_time: string;
  indexer_ingestion_time: string;
  additional_metadata: Record<string, RenderedValue>;
  truncated_attributes?: readonly string[];
}

/** Renders a record for the Indexer API, its fields in the API's order. */
export function renderRecord(record: IndexRecord): RenderedRecord {
  return {
    unique_id: record.unique_id,
    broker_id: record.broker_id,
    broker_msg_id: record.broker_msg_id,
    ordering_key: record.ordering_key,
    business_source_key: record.business_source_key,
    business_object_key: record.business_object_key,
    index_source_key: record.index_source_key,
    partition: record.partition,
    sequence: record.sequence,
    store: record.store,
    location_key: record.location_key,
    location_position: record.location_position,
    payload_size: record.payload_size,
    content_type: record.content_type,
    digest: record.digest,
    publish_time: msToIso(record.publish_time),
    ingestion_time: msToIso(record.ingestion_time),
    indexer_ingestion_time: msToIso(record.indexer_ingestion_time),
    additional_metadata: renderAttributes(record.attributes),
    truncated_attributes: record.truncated_attributes,
  };
}

/** Attributes as an object, name to value; `__proto__` becomes a field like any other. */
export function renderAttributes(attributes: IndexRecord["attributes"]): Record<string, RenderedValue> {
  const rendered: Record<string, RenderedValue> = {};
  let repeats: Map<string, IndexedValue[]> | undefined;
  for (const [name, value] of attributes) {
    if (!Object.hasOwn(rendered, name)) {
      setField(rendered, name, value);
      continue;
    }
    repeats ??= new Map();
    const values = repeats.get(name);
    if (values) values.push(value);
    else repeats.set(name, [rendered[name] as IndexedValue, value]);
  }
  if (repeats) for (const [name, values] of repeats) setField(rendered, name, { $repeated: values });
  return rendered;
}

function setField(target: Record<string, RenderedValue>, name: string, value: RenderedValue): void {
  if (name !== "__proto__") target[name] = value;
  else Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
}
