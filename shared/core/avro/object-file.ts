/** Avro object container files: what the rest of the core uses of this folder. */
export { readBlock, readRecord } from "./block.ts";
export type { Codec } from "./codec.ts";
export { CODECS, MAX_BLOCK_BYTES } from "./codec.ts";
export type { RecordDefaults } from "./foreign-record.ts";
export type { LocatedRecord, RecordLocation } from "./location.ts";
export { FOREIGN_FORMAT_VERSION, FORMAT_VERSION } from "./location.ts";
export type { ObjectFault, ObjectPart } from "./reader.ts";
export { readObject } from "./reader.ts";
export type { EncodedObject, EncodeOptions } from "./writer.ts";
export { DEFAULT_BLOCK_BYTES, encodeObject } from "./writer.ts";
