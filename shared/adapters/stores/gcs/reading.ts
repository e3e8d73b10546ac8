import { createHash } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import type { Storage } from "@google-cloud/storage";
import { StoreError } from "../../../core/errors.ts";
import type { ByteRange, StoredObject } from "../../../core/ports/object-store.ts";
import { FailedAnswer, foreignAnswer } from "./errors.ts";
import { decodeMetadata } from "./metadata.ts";

const OK = 200;
const PARTIAL = 206;
const RANGE_NOT_SATISFIABLE = 416;
const MAX_ERROR_BYTES = 65_536;

type Headers = Readonly<Record<string, string | undefined>>;

interface Answer {
  status: number;
  headers: Headers;
  body: Readable;
}

/**
 * Reads an object, or `range` of it, and its metadata in one request: by the XML API, since a download by the JSON API brings no custom
 * metadata. Throws FailedAnswer, StoreError where bytes are altered, or what the SDK throws.
 */
export async function readObject(storage: Storage, bucket: string, key: string, range: ByteRange | undefined): Promise<StoredObject> {
  const { status, headers, body } = await ask(storage, pathOf(bucket, key), rangeHeader(range));
  if (status === RANGE_NOT_SATISFIABLE) {
    await wholeOf(body, 0);
    return { bytes: Buffer.alloc(0), metadata: {} };
  }
  if (status !== OK && status !== PARTIAL) throw new FailedAnswer(status, (await wholeOf(body, MAX_ERROR_BYTES)).toString());
  if (headers["x-goog-generation"] === undefined) {
    await wholeOf(body, 0);
    throw foreignAnswer("it sent something that is no object");
  }
  const bytes = await bytesOf(body, headers);
  const metadata = decodeMetadata(headers);
  if (status === PARTIAL && range) {
    checkSpan(bytes, headers, range);
    return { bytes: bytes.subarray(0, range.length), metadata };
  }
  checkHash(bytes, headers, key);
  return { bytes: range ? bytes.subarray(range.offset, range.offset + range.length) : bytes, metadata };
}

function pathOf(bucket: string, key: string): string {
  return [bucket, ...key.split("/")].map(encodeURIComponent).join("/");
}

/** A range without a byte cannot be asked for: one is, and cut away. */
function rangeHeader(range: ByteRange | undefined): Record<string, string> {
  if (!range) return {};
  const last = Math.min(range.offset + Math.max(1, range.length) - 1, Number.MAX_SAFE_INTEGER);
  return { Range: `bytes=${range.offset}-${last}` };
}

async function ask(storage: Storage, path: string, headers: Record<string, string>): Promise<Answer> {
  const stream = storage.requestStream({
    uri: `${storage.apiEndpoint}/${path}`,
    headers: { ...headers, "Accept-Encoding": "identity", "Cache-Control": "no-store" },
  });
  const [response] = (await once(stream, "response")) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers as Headers, body: stream };
}

async function bytesOf(body: Readable, headers: Headers): Promise<Buffer> {
  const length = Number(headers["content-length"] ?? Number.NaN);
  if (!Number.isSafeInteger(length)) return wholeOf(body);
  const bytes = Buffer.allocUnsafeSlow(length);
  let filled = 0;
  await each(body, (chunk) => {
    if (filled + chunk.length <= length) bytes.set(chunk, filled);
    filled += chunk.length;
  });
  if (filled !== length) throw cutOff();
  return bytes;
}

async function wholeOf(body: Readable, maxBytes = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  await each(body, (chunk) => {
    if (length < maxBytes) chunks.push(chunk);
    length += chunk.length;
  });
  return Buffer.concat(chunks);
}

/** By events: the SDK's stream has a writable side that never ends, for which an iteration would wait. */
function each(body: Readable, take: (chunk: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    body.on("data", take).on("end", resolve).on("error", reject);
    body.on("close", () => reject(cutOff()));
  });
}

/** A range that is short, but for the object's end, would pass for a damaged object. */
function checkSpan(bytes: Buffer, headers: Headers, { offset, length }: ByteRange): void {
  const [, start, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers["content-range"] ?? "") ?? [];
  const expected = Math.min(Math.max(1, length), Number(size) - offset);
  if (Number(start) !== offset || bytes.length !== expected) throw foreignAnswer("it sent another range than was asked for");
}

/** Objects that were put together from parts on the server have no MD5; what reads them checks them by its own digests. */
function checkHash(bytes: Buffer, headers: Headers, key: string): void {
  const expected = /\bmd5=([^,\s]+)/.exec(headers["x-goog-hash"] ?? "")?.[1];
  if (expected === undefined || createHash("md5").update(bytes).digest("base64") === expected) return;
  const what = `reading object ${key}: its bytes do not match their hash; the call may be repeated`;
  throw new StoreError("store_unavailable", what, { retryable: true });
}

function cutOff(): Error {
  return Object.assign(new Error("the answer was cut off"), { code: "ECONNRESET" });
}
