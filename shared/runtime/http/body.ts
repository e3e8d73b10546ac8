import type { IncomingMessage } from "node:http";
import { HttpError } from "./problem.ts";

/** Largest body of a request that is read whole, in bytes. */
export const MAX_BODY_BYTES = 1_000_000;

const JSON_TYPE = /^application\/(?:[a-z0-9.-]+\+)?json$/;
const NDJSON_TYPES: readonly string[] = ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"];

/** The media type of a `content-type` header, without parameters; empty where there is none. */
export function mediaType(contentType: string | undefined): string {
  return (contentType ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

export function isJson(type: string): boolean {
  return JSON_TYPE.test(type);
}

export function isNdjson(type: string): boolean {
  return NDJSON_TYPES.includes(type);
}

/** Refuses bodies in another encoding than UTF-8 and compressed ones. Throws HttpError 415. */
export function checkEncoding(header: (name: string) => string | undefined): void {
  const charset = /;\s*charset="?([^";\s]+)/i.exec(header("content-type") ?? "")?.[1];
  if (charset !== undefined && !/^utf-?8$/i.test(charset))
    throw new HttpError(415, `reading the body: its charset is ${charset}; send UTF-8`);
  const encoding = header("content-encoding");
  if (encoding !== undefined && encoding !== "identity") {
    throw new HttpError(415, `reading the body: its content-encoding is ${encoding}; send it uncompressed`);
  }
}

/** Whether a request has a body, by its headers. */
export function hasBody(header: (name: string) => string | undefined): boolean {
  const length = header("content-length");
  return header("transfer-encoding") !== undefined || (length !== undefined && length !== "0");
}

/** What a body is read from: the server's own stream where there is one, since it is much quicker than the web stream made from it. */
export interface BodySource {
  request: Request;
  incoming?: IncomingMessage;
}

/**
 * The pieces of a body as they come in; nothing is read ahead of the consumer but the socket's own buffer. Throws HttpError 400 where the
 * body breaks off.
 */
export async function* bodyChunks({ request, incoming }: BodySource): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    // Left early, the stream must stay open: the answer goes out on the same socket.
    const chunks: AsyncIterable<Uint8Array> | null = incoming ? incoming.iterator({ destroyOnReturn: false }) : request.body;
    if (chunks) yield* chunks;
  } catch (error) {
    throw new HttpError(400, "reading the body: it broke off before its end; send the request again", { cause: error });
  }
}

/** The whole body. Throws HttpError 413 as soon as it is longer than `maxBytes`, whatever its headers say. */
export async function readBody(source: BodySource, declaredBytes: number, maxBytes: number): Promise<Buffer> {
  if (declaredBytes > maxBytes) throw tooLarge(maxBytes);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bodyChunks(source)) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

function tooLarge(maxBytes: number): HttpError {
  return new HttpError(413, `reading the body: it is larger than ${maxBytes} bytes; ask in several requests`);
}
