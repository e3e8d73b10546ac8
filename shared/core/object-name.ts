import { hash } from "node:crypto";
import { sha256Hex } from "./digest.ts";
import { InvalidInput } from "./errors.ts";
import { cutWithHash, encodeValue, MAX_SEGMENT_BYTES } from "./path-mask.ts";

export type { PathMask } from "./path-mask.ts";
export { parsePathMask, pathOf } from "./path-mask.ts";

/** Longest key that every store takes, in bytes of UTF-8. */
export const MAX_KEY_BYTES = 900;

/** Longest prefix, in bytes: it is never cut, so the rest must fit beside it. */
export const MAX_PREFIX_BYTES = 400;

const MAX_EXTENSION_BYTES = 40;
/** To this an id may be cut before the path is. */
const SHORT_ID_BYTES = 40;
const PATH_HASH_DIGITS = 16;
const BATCH_HASH_DIGITS = 32;

export interface ObjectKeyParts {
  /** Folders before the path, from the store's settings; slashes at its ends do not count. May be empty. */
  prefix: string;
  /** From `pathOf`; may be empty. */
  path: string;
  /** `uniqueIdOf` the batch's first message. */
  firstUniqueId: string;
  /** Messages in the batch. */
  count: number;
  /** `batchHash` of the batch. */
  hash: string;
  /** Without its dot. */
  extension: string;
}

/**
 * The object's name: `<prefix>/<path>/<id>-<count>-<hash>.<extension>`, at most 900 bytes. A long id is cut, then a long path, both with a hash.
 * Throws InvalidInput for a prefix that no key may have.
 */
export function objectKey({ prefix, path, firstUniqueId, count, hash: batch, extension }: ObjectKeyParts): string {
  const folder = checkedPrefix(prefix);
  const ending = `-${count}-${batch}.${cutWithHash(encodeValue(extension), MAX_EXTENSION_BYTES)}`;
  const room = MAX_KEY_BYTES - Buffer.byteLength(folder) - ending.length;
  const id = cutWithHash(encodeValue(firstUniqueId), MAX_SEGMENT_BYTES);
  const folders = shortened(path, room - Math.min(id.length, SHORT_ID_BYTES) - 1);
  const start = folders === "" ? "" : `${folders}/`;
  return `${folder}${start}${cutWithHash(id, room - Buffer.byteLength(start))}${ending}`;
}

/** 32 hex digits of the SHA-256 over every unique id and digest, each behind its length, in their order. */
export function batchHash(entries: Iterable<{ uniqueId: string; digest: Buffer }>): string {
  let at = 0;
  for (const { uniqueId, digest } of entries) {
    reserve(at, 3 * uniqueId.length + digest.length + 2 * LENGTH_BYTES);
    const idLength = scratch.write(uniqueId, at + LENGTH_BYTES, "utf8");
    scratch.writeUInt32BE(idLength, at);
    at += LENGTH_BYTES + idLength;
    scratch.writeUInt32BE(digest.length, at);
    scratch.set(digest, at + LENGTH_BYTES);
    at += LENGTH_BYTES + digest.length;
  }
  const digits = hash("sha256", scratch.subarray(0, at), "hex").slice(0, BATCH_HASH_DIGITS);
  if (scratch.length > KEEP_SCRATCH_BYTES) scratch = Buffer.allocUnsafe(FIRST_SCRATCH_BYTES);
  return digits;
}

const LENGTH_BYTES = 4;
const FIRST_SCRATCH_BYTES = 64 * 1024;
const KEEP_SCRATCH_BYTES = 4 * 1024 * 1024;
let scratch = Buffer.allocUnsafe(FIRST_SCRATCH_BYTES);

function reserve(used: number, more: number): void {
  if (used + more <= scratch.length) return;
  const larger = Buffer.allocUnsafe(2 * (used + more));
  scratch.copy(larger, 0, 0, used);
  scratch = larger;
}

/** The prefix with a slash behind it, or nothing. */
function checkedPrefix(prefix: string): string {
  const folder = prefix.replace(/^\/+|\/+$/g, "");
  if (folder === "") return "";
  const isBad = folder.split("/").some((segment) => segment === "" || segment === "." || segment === "..");
  if (isBad || /\p{Cc}/u.test(folder) || !folder.isWellFormed() || Buffer.byteLength(folder) > MAX_PREFIX_BYTES) {
    const problem = `must be segments without "", "." and "..", without control characters, at most ${MAX_PREFIX_BYTES} bytes`;
    throw new InvalidInput(`naming an object: prefix ${JSON.stringify(prefix.slice(0, 100))} ${problem}`, [
      { path: "prefix", message: problem },
    ]);
  }
  return `${folder}/`;
}

/** As many whole segments as fit, then one with a hash of the whole path. */
function shortened(path: string, maxBytes: number): string {
  if (Buffer.byteLength(path) <= maxBytes) return path;
  const ending = `~${sha256Hex(path).slice(0, PATH_HASH_DIGITS)}`;
  let kept = "";
  for (const segment of path.split("/")) {
    const longer = `${kept}${segment}/`;
    if (Buffer.byteLength(longer) + ending.length > maxBytes) break;
    kept = longer;
  }
  return kept + ending;
}
