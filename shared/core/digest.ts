import { hash } from "node:crypto";
import type { Attribute, MessageContent } from "./message.ts";
import { compareUtf8 } from "./text.ts";

/** First byte of what is hashed; another value would be another rule. */
const DIGEST_VERSION = 1;

let scratch = Buffer.allocUnsafe(64 * 1024);

/**
 * SHA-256 over what of a message must stay unaltered, as 32 bytes.
 *
 * Hashed are, each behind its length (32 bits, big-endian): version (one byte), payload kind, payload, key (behind one byte that tells
 * whether there is one), ordering key, content type, then name, kind and value of every attribute, sorted by the name's UTF-8 bytes,
 * repeats in their order. Ids, times and the broker's own properties are not in it.
 */
export function digestOf(content: MessageContent): Buffer {
  reserve(digestInputBound(content));
  let at = 0;
  scratch[at++] = DIGEST_VERSION;
  at = writeText(at, content.payloadKind);
  at = writeBytes(at, content.payload);
  scratch[at++] = content.key === null ? 0 : 1;
  at = writeBytes(at, content.key ?? EMPTY);
  at = writeText(at, content.orderingKey);
  at = writeText(at, content.contentType);
  for (const { name, kind, value } of sortedByName(content.attributes)) {
    at = writeText(at, name);
    at = writeText(at, kind);
    at = typeof value === "string" ? writeText(at, value) : writeBytes(at, value);
  }
  return hash("sha256", scratch.subarray(0, at), "buffer");
}

/** SHA-256 of text, as hex. */
export function sha256Hex(text: string): string {
  return hash("sha256", text, "hex");
}

const EMPTY = new Uint8Array(0);
const LENGTH_BYTES = 4;
const KEEP_SCRATCH_BYTES = 1024 * 1024;

function sortedByName(attributes: readonly Attribute[]): readonly Attribute[] {
  for (let i = 1; i < attributes.length; i++) {
    if (compareUtf8((attributes[i - 1] as Attribute).name, (attributes[i] as Attribute).name) > 0) {
      return attributes.toSorted((a, b) => compareUtf8(a.name, b.name));
    }
  }
  return attributes;
}

/** An upper bound: a UTF-16 unit takes at most three bytes of UTF-8. */
function digestInputBound(content: MessageContent): number {
  let bound = 64 + content.payload.length + (content.key?.length ?? 0) + 3 * (content.orderingKey.length + content.contentType.length);
  for (const { name, kind, value } of content.attributes) {
    bound += 3 * LENGTH_BYTES + 3 * (name.length + kind.length + value.length);
  }
  return bound;
}

function reserve(bytes: number): void {
  const wanted = Math.max(bytes, 64 * 1024);
  if (scratch.length < wanted || (scratch.length > KEEP_SCRATCH_BYTES && wanted < KEEP_SCRATCH_BYTES)) {
    scratch = Buffer.allocUnsafe(wanted);
  }
}

function writeText(at: number, text: string): number {
  const length = scratch.write(text, at + LENGTH_BYTES, "utf8");
  scratch.writeUInt32BE(length, at);
  return at + LENGTH_BYTES + length;
}

function writeBytes(at: number, bytes: Uint8Array): number {
  scratch.writeUInt32BE(bytes.length, at);
  scratch.set(bytes, at + LENGTH_BYTES);
  return at + LENGTH_BYTES + bytes.length;
}
