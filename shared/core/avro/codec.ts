import { constants, deflateRaw, inflateRaw, zstdCompress, zstdDecompress } from "node:zlib";
import { corrupt } from "./corrupt.ts";

/** How the blocks of an object are compressed, by Avro's own names. */
export type Codec = "zstandard" | "deflate" | "null";

export const CODECS: readonly Codec[] = ["zstandard", "deflate", "null"];

/** No block is decompressed beyond this, so that a damaged or hostile one cannot take the memory. */
export const MAX_BLOCK_BYTES = 64 * 1024 * 1024;

/** The fastest level: on message-like JSON the higher ones store hardly less and take up to twice the time. */
const ZSTD_LEVEL = 1;
const DEFLATE_LEVEL = 6;
const COMPRESSED_CHUNK_BYTES = 128 * 1024;
const MIN_CHUNK_BYTES = 1024;
const MAX_CHUNK_BYTES = 1024 * 1024;

type OneShot = (data: Uint8Array, options: object, done: (error: Error | null, result: Buffer) => void) => void;

/** As a promise; `node:util` is not core code's to import. */
function run(oneShot: OneShot, data: Uint8Array, options: object): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    oneShot(data, options, (error, result) => (error === null ? resolve(result) : reject(error)));
  });
}

/** Compresses a block in the thread pool. With codec `null` the result is `block` itself. */
export async function compress(codec: Codec, block: Buffer): Promise<Buffer> {
  if (codec === "null") return block;
  if (codec === "deflate") return run(deflateRaw, block, { level: DEFLATE_LEVEL, chunkSize: COMPRESSED_CHUNK_BYTES });
  return run(zstdCompress, block, {
    chunkSize: COMPRESSED_CHUNK_BYTES,
    // The frame then tells its content's size, which some readers need, and the compressor makes smaller tables.
    pledgedSrcSize: block.length,
    params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL, [constants.ZSTD_c_checksumFlag]: 1 },
  });
}

/**
 * Decompresses a block in the thread pool; with codec `null` the result is `block` itself.
 * Throws StoreError `object_corrupt`, also past MAX_BLOCK_BYTES.
 */
export async function decompress(codec: Codec, block: Buffer): Promise<Buffer> {
  if (codec === "null") return block;
  const size = codec === "zstandard" ? (zstdContentSize(block) ?? 8 * block.length) : 8 * block.length;
  // One chunk that holds all saves a turn through the thread pool for every 16 KiB of it.
  const chunkSize = Math.min(Math.max(size + 64, MIN_CHUNK_BYTES), MAX_CHUNK_BYTES);
  const options = { chunkSize, maxOutputLength: MAX_BLOCK_BYTES };
  try {
    return await run(codec === "zstandard" ? zstdDecompress : inflateRaw, block, options);
  } catch (cause) {
    throw corrupt(`a block cannot be decompressed (${codec})`, cause);
  }
}

/**
 * Frees the memory of a buffer that nobody else holds or will read, at once. Left to the garbage collector, blocks of some 256 KiB drive it
 * to a full collection every few dozen of them, which stops the process for several milliseconds.
 */
export function release(buffer: Uint8Array): void {
  const memory = buffer.buffer;
  // Small buffers share their memory with others in Node's pool.
  if (memory instanceof ArrayBuffer && memory.byteLength > Buffer.poolSize) memory.transfer(0);
}

/** The content's size as the frame's header tells it (RFC 8878, 3.1.1.1); undefined where it does not. */
function zstdContentSize(frame: Buffer): number | undefined {
  if (frame.length < 18 || frame.readUInt32LE(0) !== 0xfd2fb528) return undefined;
  const descriptor = frame.readUInt8(4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionaryIdBytes = [0, 1, 2, 4][descriptor & 3] as number;
  const at = 5 + (isSingleSegment ? 0 : 1) + dictionaryIdBytes;
  switch (descriptor >> 6) {
    case 0:
      return isSingleSegment ? frame.readUInt8(at) : undefined;
    case 1:
      return frame.readUInt16LE(at) + 256;
    case 2:
      return frame.readUInt32LE(at);
    default:
      return Number(frame.readBigUInt64LE(at));
  }
}
