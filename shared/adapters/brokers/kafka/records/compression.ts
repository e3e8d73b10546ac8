import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { compressionsAlgorithms } from "@platformatic/kafka";
import { COMPRESSIONS, type Compression } from "../compressions.ts";

/** No batch is decompressed beyond this, so that a damaged or hostile one cannot take the memory. */
const MAX_BYTES = 256 * 1024 * 1024;
const ZSTD_LEVEL = 1;

/** Decompresses the records of a batch. Throws what the codec throws, and for an unknown number. */
export function decompressRecords(number: number, bytes: Buffer): Buffer {
  switch (COMPRESSIONS[number]) {
    case "none":
      return bytes;
    case "gzip":
      return gunzipSync(bytes, { maxOutputLength: MAX_BYTES });
    case "zstd":
      return zstdDecompressSync(bytes, { maxOutputLength: MAX_BYTES });
    case "snappy":
      return compressionsAlgorithms.snappy.decompressSync(bytes);
    case "lz4":
      return compressionsAlgorithms.lz4.decompressSync(bytes);
    default:
      throw new Error(`a batch is compressed by a codec of number ${number}, which this program does not know`);
  }
}

/** Compresses the records of a batch. */
export function compressRecords(compression: Compression, bytes: Buffer): Buffer {
  switch (compression) {
    case "none":
      return bytes;
    case "gzip":
      return gzipSync(bytes, { level: 1 });
    case "zstd":
      return zstdCompressSync(bytes, {
        pledgedSrcSize: bytes.length,
        params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL },
      });
    case "snappy":
      return compressionsAlgorithms.snappy.compressSync(bytes);
    case "lz4":
      return compressionsAlgorithms.lz4.compressSync(bytes);
  }
}
