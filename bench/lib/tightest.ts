import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";

const TIGHTEST_LEVEL = 19;

/** Compresses as tight as zstd can without extra memory, which takes seconds for an object. */
export function tightest(bytes: Buffer): Promise<Buffer> {
  return promisify(zstdCompress)(bytes, { params: { [constants.ZSTD_c_compressionLevel]: TIGHTEST_LEVEL } });
}
