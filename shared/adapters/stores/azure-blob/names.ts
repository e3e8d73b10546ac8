/*
 * A blob's name is the key, but for what Blob Storage does not keep apart: it takes `\` for `/`, and drops dots at the end of a segment.
 * Such keys are spelled in another way, which no other key has and which sorts as the keys do: lists are in the order of names.
 */

const SPELLINGS: readonly [key: string, name: string][] = [
  ["[", "[1"],
  ["\\", "[2"],
  [". ", ". 1"],
  [".", ". 0"],
];
const NAMES = new Map(SPELLINGS);
const KEYS = new Map(SPELLINGS.map(([key, name]) => [name, key]));

const MAX_NAME_LENGTH = 1024;
const MAX_SEGMENTS = 254;

/** The blob of a key. */
export function blobNameOf(key: string): string {
  return key.replace(/[[\\]|\. |\.(?=\/|$)/g, (found) => NAMES.get(found) as string);
}

/** What the names of all keys begin with that begin with `prefix`, and of no others. */
export function namePrefixOf(prefix: string): string {
  return prefix.replace(/[[\\]|\. |\.(?=\/)/g, (found) => NAMES.get(found) as string);
}

/** The key of a blob, or of a folder of blobs (ending in `/`); undefined where no key has that name. */
export function keyOf(name: string): string | undefined {
  const key = name.replace(/\[[12]|\. [01]/g, (found) => KEYS.get(found) as string);
  return blobNameOf(key) === name ? key : undefined;
}

/** Why Blob Storage cannot hold a blob for `key`; undefined where it can. */
export function nameFault(key: string): string | undefined {
  if (key.split("/").length > MAX_SEGMENTS) return `it has more than ${MAX_SEGMENTS} segments`;
  if (blobNameOf(key).length > MAX_NAME_LENGTH) return `its blob would have a name of more than ${MAX_NAME_LENGTH} characters`;
  return undefined;
}
