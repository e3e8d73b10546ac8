import { encodeObject, FORMAT_VERSION, readObject } from "../avro/object-file.ts";
import type { StoredRecord } from "../avro/stored-record.ts";
import { mapConcurrently } from "../concurrency.ts";
import { sha256Hex } from "../digest.ts";
import { StoreError } from "../errors.ts";
import { type IndexRecord, indexRecordOf, type RecordPlace } from "../index-record.ts";
import { uniqueIdOf } from "../message.ts";
import { batchHash, objectKey, pathOf } from "../object-name.ts";
import type { PipelineStore } from "../pipeline.ts";
import { putRawObject, RAW_CODEC } from "../raw/raw-object.ts";
import type { Batch } from "./batches.ts";

/** What was written: index records by position in the batch, and what it came to. */
export interface WrittenBatch {
  records: IndexRecord[];
  objects: number;
  bytes: number;
}

const AVRO_CONTENT_TYPE = "application/avro";
const RAW_PUTS_AT_ONCE = 16;
/** Names tried where an object of the same name turns out unreadable. */
const NAME_ATTEMPTS = 3;

/** Commits one batch to the store in the pipeline's format. `wantRecords` false leaves `records` empty. Throws StoreError. */
export function writeBatch(store: PipelineStore, batch: Batch, wantRecords: boolean): Promise<WrittenBatch> {
  return store.format === "raw" ? writeRaw(store, batch) : writeAvro(store, batch, wantRecords);
}

async function writeAvro(store: PipelineStore, batch: Batch, wantRecords: boolean): Promise<WrittenBatch> {
  const entries = batch.records.map(({ message, digest }) => ({ uniqueId: uniqueIdOf(message), digest }));
  const contentHash = batchHash(entries);
  const encoded = await encodeObject(batch.records, { codec: store.codec, syncSeed: contentHash });
  for (let attempt = 0; ; attempt++) {
    const hash = attempt === 0 ? contentHash : sha256Hex(`${contentHash}~${attempt}`).slice(0, contentHash.length);
    const key = objectKey({
      prefix: store.prefix,
      path: batch.path,
      firstUniqueId: entries[0]?.uniqueId ?? "",
      count: entries.length,
      hash,
      extension: store.extension,
    });
    const result = await store.objects.put(key, encoded.pieces, { contentType: AVRO_CONTENT_TYPE });
    const written = { objects: result === "created" ? 1 : 0, bytes: result === "created" ? encoded.byteLength : 0 };
    if (result === "created") {
      const place = { store: store.name, key, codec: store.codec, formatVersion: FORMAT_VERSION };
      const records = wantRecords
        ? batch.records.map((record, i) => indexRecordOf(record, { ...place, location: encoded.locations[i] as RecordPlace["location"] }))
        : [];
      return { records, ...written };
    }
    try {
      return { records: await recordsOfStored(store, key, batch.records), ...written };
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== "object_corrupt" || attempt + 1 >= NAME_ATTEMPTS) throw error;
    }
  }
}

/**
 * Index records of an object that an earlier delivery wrote: places and ingestion times are the stored ones, never those of the new encoding.
 * Throws StoreError `object_corrupt` where it is not whole or holds other messages.
 */
async function recordsOfStored(store: PipelineStore, key: string, expected: readonly StoredRecord[]): Promise<IndexRecord[]> {
  const { bytes } = await store.objects.get(key);
  const found: IndexRecord[] = [];
  for await (const block of readObject(bytes, { brokerId: "", pipeline: "", topic: "" })) {
    if ("fault" in block) throw block.fault.error;
    for (const { record, location } of block.records) {
      const wanted = expected[found.length];
      if (!wanted || uniqueIdOf(wanted.message) !== uniqueIdOf(record.message) || !wanted.digest.equals(record.digest)) {
        throw otherContent(key);
      }
      found.push(indexRecordOf(record, { store: store.name, key, codec: block.codec, formatVersion: block.formatVersion, location }));
    }
  }
  if (found.length !== expected.length) throw otherContent(key);
  return found;
}

function otherContent(key: string): StoreError {
  return new StoreError(
    "object_corrupt",
    `reading object ${key}, written by an earlier delivery: it does not hold that delivery's messages`,
  );
}

async function writeRaw(store: PipelineStore, batch: Batch): Promise<WrittenBatch> {
  const records = await mapConcurrently(batch.records, RAW_PUTS_AT_ONCE, async (record) => {
    const uniqueId = uniqueIdOf(record.message);
    const key = objectKey({
      prefix: store.prefix,
      path: pathOf(store.mask, record.message),
      firstUniqueId: uniqueId,
      count: 1,
      hash: batchHash([{ uniqueId, digest: record.digest }]),
      extension: store.extension,
    });
    const stored = await putRawObject(store.objects, key, record);
    return indexRecordOf(stored, rawPlace(store.name, key, record.message.payload.length));
  });
  return { records, objects: records.length, bytes: batch.bytes };
}

/** The place of a message that is an object of its own. */
export function rawPlace(store: string, key: string, payloadBytes: number): RecordPlace {
  const location = { position: 0, blockOffset: 0, blockLength: payloadBytes, blockPosition: 0 };
  return { store, key, codec: RAW_CODEC, formatVersion: 1, location };
}
