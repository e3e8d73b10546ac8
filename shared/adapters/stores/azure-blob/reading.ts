import { createHash } from "node:crypto";
import type { BlobDownloadResponseParsed, BlockBlobClient } from "@azure/storage-blob";
import { StoreError } from "../../../core/errors.ts";
import type { ByteRange, StoredObject } from "../../../core/ports/object-store.ts";
import type { Moving } from "./calls.ts";
import { failureOf, foreignAnswer, systemError } from "./errors.ts";
import { decodeMetadata } from "./metadata.ts";

const RANGE_NOT_SATISFIABLE = 416;
/** Where an account has a hierarchical namespace, a folder can be read like an empty blob with this mark. */
const FOLDER_MARK = "hdi_isfolder";
const NO_BLOB = "it sent something that is no blob";

/**
 * Reads an object, or `range` of it, and its metadata in one request. Throws StoreError where bytes are altered, Error with `statusCode` 404
 * where a folder has the key, or what the SDK throws.
 */
export async function readObject(blob: BlockBlobClient, moving: Moving, key: string, range: ByteRange | undefined): Promise<StoredObject> {
  const answer = await ask(blob, moving, range);
  if (answer === undefined) return { bytes: Buffer.alloc(0), metadata: {} };
  const bytes = await bytesOf(answer, moving);
  if (answer.blobType === undefined) throw foreignAnswer(NO_BLOB);
  const stored = answer.metadata ?? {};
  if (stored[FOLDER_MARK] === "true") throw Object.assign(new Error("a folder"), { statusCode: 404, code: "BlobNotFound" });
  const metadata = decodeMetadata(stored);
  if (answer.contentRange !== undefined && range) {
    checkSpan(bytes, answer.contentRange, range);
    return { bytes: bytes.subarray(0, range.length), metadata };
  }
  checkHash(bytes, answer.contentMD5, key);
  return { bytes: range ? bytes.subarray(range.offset, range.offset + range.length) : bytes, metadata };
}

/** Undefined where the range begins behind the object's end. */
async function ask(
  blob: BlockBlobClient,
  { abortSignal }: Moving,
  range: ByteRange | undefined,
): Promise<BlobDownloadResponseParsed | undefined> {
  // A range without a byte cannot be asked for: one is, and cut away.
  const count = range && Math.min(Math.max(1, range.length), Number.MAX_SAFE_INTEGER - range.offset);
  try {
    return await blob.download(range?.offset ?? 0, count, { abortSignal, maxRetryRequests: 0 });
  } catch (error) {
    if (range && failureOf(error).status === RANGE_NOT_SATISFIABLE) return undefined;
    // The SDK misses a length, or a tag.
    throw error instanceof RangeError ? foreignAnswer(NO_BLOB) : error;
  }
}

async function bytesOf({ contentLength = 0, readableStreamBody }: BlobDownloadResponseParsed, { onProgress }: Moving): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(contentLength);
  let filled = 0;
  try {
    for await (const chunk of (readableStreamBody ?? []) as AsyncIterable<Buffer>) {
      onProgress();
      if (filled + chunk.length <= contentLength) bytes.set(chunk, filled);
      filled += chunk.length;
    }
  } catch {
    // The SDK's own error tells only that bytes are missing.
    throw cutOff();
  }
  if (filled !== contentLength) throw cutOff();
  return bytes;
}

/** A range that is short, but for the object's end, would pass for a damaged object. */
function checkSpan(bytes: Buffer, contentRange: string, { offset, length }: ByteRange): void {
  const [, start, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(contentRange) ?? [];
  const expected = Math.min(Math.max(1, length), Number(size) - offset);
  if (Number(start) !== offset || bytes.length !== expected) throw foreignAnswer("it sent another range than was asked for");
}

/** Objects that another program wrote may have no MD5; what reads them checks them by its own digests. */
function checkHash(bytes: Buffer, expected: Uint8Array | undefined, key: string): void {
  if (expected === undefined || createHash("md5").update(bytes).digest().equals(expected)) return;
  const what = `reading object ${key}: its bytes do not match their hash; the call may be repeated`;
  throw new StoreError("store_unavailable", what, { retryable: true });
}

function cutOff(): Error {
  return systemError("ECONNRESET", "the answer was cut off");
}
