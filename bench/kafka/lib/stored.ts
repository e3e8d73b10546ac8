import { open } from "../../../shared/adapters/stores/fs/adapter.ts";
import { encodeObject, readObject } from "../../../shared/core/avro/object-file.ts";
import type { StoredRecord } from "../../../shared/core/avro/stored-record.ts";
import { contentSize } from "../../../shared/core/message.ts";
import { NO_LOG } from "../../../shared/core/ports/log.ts";
import { tightest } from "../../lib/tightest.ts";

/** What lies in the files of a data folder. */
export interface Stored {
  objects: number;
  bytes: number;
}

/** Counts the objects of a data folder. */
export async function storedIn(dataDir: string): Promise<Stored> {
  const stored = { objects: 0, bytes: 0 };
  for await (const { size } of (await open({}, { dataDir, log: NO_LOG })).list("")) {
    stored.objects++;
    stored.bytes += size;
  }
  return stored;
}

/** Bytes of a message in the first object of a data folder: compressed as tight as zstd can, and as they came. */
export async function tightestIn(dataDir: string): Promise<{ stored: number; content: number }> {
  const objects = await open({}, { dataDir, log: NO_LOG });
  const records: StoredRecord[] = [];
  for await (const { key } of objects.list("")) {
    for await (const block of readObject((await objects.get(key)).bytes, { brokerId: "", pipeline: "", topic: "" })) {
      if ("fault" in block) throw block.fault.error;
      records.push(...block.records.map(({ record }) => record));
    }
    break;
  }
  const plain = await encodeObject(records, { codec: "null", syncSeed: "size" });
  return {
    stored: (await tightest(Buffer.concat(plain.pieces))).length / records.length,
    content: records.reduce((sum, { message }) => sum + contentSize(message), 0) / records.length,
  };
}
