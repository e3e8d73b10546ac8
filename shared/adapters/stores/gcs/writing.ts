import { createHash } from "node:crypto";
import type { Bucket } from "@google-cloud/storage";
import type { PutOptions, PutResult } from "../../../core/ports/object-store.ts";
import { failureOf, foreignAnswer } from "./errors.ts";
import { encodeMetadata } from "./metadata.ts";

const PRECONDITION_FAILED = 412;
const ANY_TYPE = "application/octet-stream";
/** A media type that can stand in a header; the SDK fills in project ids where it finds braces. */
const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:[ \t]*;[ !#-z|~"]*)?$/;

/**
 * Creates an object in one request; the server compares the bytes with their hash before it commits them. Throws what the SDK throws, and
 * Error where the answer does not tell of this object.
 */
export async function writeObject(bucket: Bucket, key: string, pieces: readonly Uint8Array[], options: PutOptions): Promise<PutResult> {
  const filled = pieces.filter(({ length }) => length > 0);
  const file = bucket.file(key);
  const md5Hash = md5Of(filled);
  try {
    await file.save(() => filled as Buffer[], {
      resumable: false,
      // By itself the SDK would compare afterwards, and delete the object where it finds a difference.
      validation: false,
      preconditionOpts: { ifGenerationMatch: 0 },
      metadata: {
        contentType: MEDIA_TYPE.test(options.contentType) ? options.contentType : ANY_TYPE,
        md5Hash,
        metadata: encodeMetadata(options.metadata ?? {}),
      },
    });
  } catch (error) {
    if (failureOf(error).status === PRECONDITION_FAILED) return "existed";
    throw error;
  }
  // A message is settled on the word of this answer: any other 200, as of a sign-in page, must not pass for it.
  const { name, md5Hash: storedHash } = file.metadata ?? {};
  if (name !== key || storedHash !== md5Hash) throw foreignAnswer("it confirmed no such object");
  return "created";
}

function md5Of(pieces: readonly Uint8Array[]): string {
  const hash = createHash("md5");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("base64");
}
