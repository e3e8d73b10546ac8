import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { encodeObject } from "../../shared/core/avro/object-file.ts";
import type { StoredRecord } from "../../shared/core/avro/stored-record.ts";

/** Encodes, compresses and writes records with nothing around it: no digests, no names, no atomic commit, only the bytes on the disk. */
export async function writeBareObject(file: string, records: readonly StoredRecord[]): Promise<number> {
  const { pieces, byteLength } = await encodeObject(records, { codec: "zstandard", syncSeed: file });
  await mkdir(dirname(file), { recursive: true });
  const handle = await open(file, "w");
  try {
    await handle.writev(pieces);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return byteLength;
}
