import { readObject } from "../avro/object-file.ts";
import type { StoredRecord } from "../avro/stored-record.ts";
import { errorText, isRetryable } from "../errors.ts";
import { type IndexRecord, indexRecordOf } from "../index-record.ts";
import { rawPlace } from "../persist/write-batch.ts";
import { DEAD_LETTER_EXTENSION, DEAD_LETTER_FOLDER, joinKey, type Pipeline } from "../pipeline.ts";
import { getRawObject, SIDECAR_ENDING } from "../raw/raw-object.ts";

/** What one stored object holds of a pipeline; `faults` say what of it cannot be read. */
export interface WalkedObject {
  key: string;
  records: IndexRecord[];
  faults: string[];
}

/** The pipeline's objects in the order of their keys, beginning behind `after`. Throws StoreError where the store cannot be used. */
export async function* walkObjects(pipeline: Pipeline, after: string | undefined): AsyncGenerator<WalkedObject> {
  const { prefix, objects } = pipeline.store;
  const root = prefix === "" ? "" : `${prefix}/`;
  const overflow = `${joinKey(prefix, DEAD_LETTER_FOLDER)}/`;
  for await (const { key } of objects.list(root, after)) {
    const isLetter = key.startsWith(overflow) && key.endsWith(`.${DEAD_LETTER_EXTENSION}`);
    if (isLetter || key.endsWith(SIDECAR_ENDING)) continue;
    yield await readPipelineObject(pipeline, key);
  }
}

/** The pipeline's own format is tried first, then the other: folders may be shared, and a pipeline's format may have been another one before. */
async function readPipelineObject(pipeline: Pipeline, key: string): Promise<WalkedObject> {
  const readers = pipeline.store.format === "raw" ? [readRaw, readAvro] : [readAvro, readRaw];
  let fault: string | undefined;
  for (const read of readers) {
    const walked: WalkedObject = { key, records: [], faults: [] };
    try {
      await read(pipeline, walked);
      return walked;
    } catch (error) {
      if (isRetryable(error)) throw error;
      fault ??= errorText(error);
    }
  }
  return { key, records: [], faults: fault === undefined ? [] : [fault] };
}

async function readRaw(pipeline: Pipeline, walked: WalkedObject): Promise<void> {
  const record = await getRawObject(pipeline.store.objects, walked.key);
  if (belongs(record, pipeline))
    walked.records.push(indexRecordOf(record, rawPlace(pipeline.store.name, walked.key, record.message.payload.length)));
}

async function readAvro(pipeline: Pipeline, walked: WalkedObject): Promise<void> {
  const { bytes } = await pipeline.store.objects.get(walked.key);
  for await (const block of readObject(bytes, { brokerId: pipeline.brokerId, pipeline: "", topic: pipeline.topic })) {
    if ("fault" in block) {
      walked.faults.push(block.fault.error.message);
      continue;
    }
    for (const { record, location } of block.records) {
      if (!belongs(record, pipeline)) continue;
      const place = { store: pipeline.store.name, key: walked.key, codec: block.codec, formatVersion: block.formatVersion, location };
      walked.records.push(indexRecordOf(record, place));
    }
  }
}

/** Several pipelines may share a folder; objects of other writers name no pipeline and belong to whoever reads them. */
function belongs(record: StoredRecord, pipeline: Pipeline): boolean {
  return record.pipeline === "" || record.pipeline === pipeline.name;
}
