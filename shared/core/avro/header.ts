import { hash } from "node:crypto";
import { type Cursor, cursorAt, readBytes, readItems, readText, take } from "./binary-reader.ts";
import { MAX_VARINT_BYTES, writeBytes, writeLong, writeText } from "./binary-writer.ts";
import { CODECS, type Codec } from "./codec.ts";
import { corrupt } from "./corrupt.ts";
import { FOREIGN_FORMAT_VERSION, FORMAT_VERSION } from "./location.ts";
import { RECORD_SCHEMA_JSON } from "./stored-record.ts";

export const SYNC_BYTES = 16;

const MAGIC = Buffer.from("Obj\u0001", "latin1");
const SCHEMA_KEY = "avro.schema";
const CODEC_KEY = "avro.codec";
const FORMAT_KEY = "persistor.format";

/** What the header of an object tells. */
export interface ObjectHeader {
  codec: Codec;
  formatVersion: number;
  /** The schema (JSON) of objects of another format; null for ours. */
  foreignSchema: string | null;
  sync: Buffer;
  /** Where the first block starts. */
  end: number;
}

/** The marker that ends every block of an object. From a seed, so that the same records make the same bytes. */
export function syncMarkerOf(seed: string): Buffer {
  return hash("sha256", seed, "buffer").subarray(0, SYNC_BYTES);
}

export function writeHeader(codec: Codec, sync: Buffer): Buffer {
  const entries: [string, string][] = [
    [SCHEMA_KEY, RECORD_SCHEMA_JSON],
    [CODEC_KEY, codec],
    [FORMAT_KEY, String(FORMAT_VERSION)],
  ];
  const bytes = Buffer.alloc(MAGIC.length + SYNC_BYTES + RECORD_SCHEMA_JSON.length + 2 * entries.length * MAX_VARINT_BYTES + 256);
  let at = writeLong(bytes, MAGIC.copy(bytes), entries.length);
  for (const [key, value] of entries) {
    at = writeText(bytes, at, key);
    at = writeBytes(bytes, at, Buffer.from(value));
  }
  at = writeLong(bytes, at, 0);
  return bytes.subarray(0, at + sync.copy(bytes, at));
}

/** Throws StoreError `object_corrupt` where `bytes` do not start with a header that this code can work with. */
export function readHeader(bytes: Buffer): ObjectHeader {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw corrupt("the object is no Avro object container file");
  const cursor = cursorAt(bytes, MAGIC.length);
  const metadata = readMetadata(cursor);
  const start = take(cursor, SYNC_BYTES);
  const codec = metadata.get(CODEC_KEY)?.toString() || "null";
  if (!(CODECS as readonly string[]).includes(codec)) {
    throw corrupt(`unknown codec ${JSON.stringify(codec.slice(0, 40))} (known are ${CODECS.join(", ")})`);
  }
  const schema = metadata.get(SCHEMA_KEY)?.toString() ?? "";
  const isOurs = metadata.get(FORMAT_KEY)?.toString() === String(FORMAT_VERSION) && schema === RECORD_SCHEMA_JSON;
  return {
    codec: codec as Codec,
    formatVersion: isOurs ? FORMAT_VERSION : FOREIGN_FORMAT_VERSION,
    foreignSchema: isOurs ? null : schema,
    sync: bytes.subarray(start, cursor.at),
    end: cursor.at,
  };
}

function readMetadata(cursor: Cursor): Map<string, Buffer> {
  const metadata = new Map<string, Buffer>();
  readItems(cursor, () => metadata.set(readText(cursor), readBytes(cursor)));
  return metadata;
}
