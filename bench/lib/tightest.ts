import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import { encodeObject, readObject } from "../../shared/core/avro/object-file.ts";
import type { StoredRecord } from "../../shared/core/avro/stored-record.ts";
import { contentSize } from "../../shared/core/message.ts";
import type { ObjectStore } from "../../shared/core/ports/object-store.ts";

const TIGHTEST_LEVEL = 19;

/** Compresses as tight as zstd can without extra memory, which takes seconds for an object. */
export function tightest(bytes: Buffer): Promise<Buffer> {
  return promisify(zstdCompress)(bytes, { params: { [constants.ZSTD_c_compressionLevel]: TIGHTEST_LEVEL } });
}

/** Bytes of a message in the first object under `prefix`, as they are and as tight as they go. Throws StoreError. */
export async function tightestOf(objects: ObjectStore, prefix: string): Promise<{ stored: number; content: number }> {
  const records: StoredRecord[] = [];
  for await (const { key } of objects.list(prefix)) {
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
