import type { IndexRecord } from "../../shared/core/index-record.ts";

/** A record with every required field; what a test is about is given in `fields`. */
export function sampleRecord(number: number, fields: Partial<IndexRecord> = {}): IndexRecord {
  return {
    unique_id: `orders_${number}`,
    broker_id: "orders",
    broker_msg_id: String(number),
    store: "lake",
    location_key: `raw/orders/${Math.floor(number / 100)}.avro`,
    location_position: number % 100,
    block_offset: 400,
    block_length: 20_000,
    block_position: number % 100,
    codec: "zstandard",
    format_version: 1,
    payload_size: 10,
    digest: number.toString(16).padStart(64, "0"),
    publish_time: 1_000_000 + number,
    ingestion_time: 2_000_000,
    indexer_ingestion_time: 3_000_000,
    attributes: [["number", String(number)]],
    ...fields,
  };
}

export function sampleRecords(count: number, fields: (number: number) => Partial<IndexRecord> = () => ({})): IndexRecord[] {
  return Array.from({ length: count }, (_, number) => sampleRecord(number, fields(number)));
}
