import type { Dirent } from "node:fs";
import { opendir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { ObjectEntry } from "../../../core/ports/object-store.ts";
import { compareUtf8 } from "../../../core/text.ts";
import { systemCode } from "./errors.ts";
import { isSegment, TEMP_FOLDER } from "./keys.ts";

/** Names of one folder held at once; a larger folder is read again for each further so many. */
const NAMES_AT_ONCE = 20_000;
const SIZES_AT_ONCE = 32;

interface Listing {
  root: string;
  prefix: string;
  after: string;
}

/** The objects whose keys start with `prefix` and come after `after`, ascending by the UTF-8 bytes of the whole key. */
export async function* listObjects(root: string, prefix: string, after: string): AsyncGenerator<ObjectEntry> {
  const folders = prefix.split("/").slice(0, -1);
  if (!folders.every(isSegment)) return;
  yield* listFolder({ root, prefix, after }, folders.map((name) => `${name}/`).join(""));
}

/** `folder` is empty or ends in `/`. */
async function* listFolder(listing: Listing, folder: string): AsyncGenerator<ObjectEntry> {
  let from = "";
  for (;;) {
    const { names, hasMore } = await namesBehind(listing, folder, from);
    for (let i = 0; i < names.length; i += SIZES_AT_ONCE) yield* listNames(listing, folder, names.slice(i, i + SIZES_AT_ONCE));
    if (!hasMore) return;
    from = names.at(-1) as string;
  }
}

async function* listNames(listing: Listing, folder: string, names: readonly string[]): AsyncGenerator<ObjectEntry> {
  const sizes = await Promise.all(names.map((name) => (name.endsWith("/") ? undefined : sizeOf(join(listing.root, folder, name)))));
  for (const [i, name] of names.entries()) {
    const key = folder + name;
    const size = sizes[i];
    if (name.endsWith("/")) yield* listFolder(listing, key);
    else if (size !== undefined) yield { key, size };
  }
}

/** Undefined where the file has gone since its folder was read. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
}

interface Names {
  /** Ascending; a folder's ends in `/`, so that it sorts as its keys do. */
  names: string[];
  hasMore: boolean;
}

/** The smallest names of a folder behind `from` that may lead to wanted keys. */
async function namesBehind(listing: Listing, folder: string, from: string): Promise<Names> {
  let names: string[] = [];
  let hasMore = false;
  const keepSmallest = () => {
    names.sort(compareUtf8);
    if (names.length > NAMES_AT_ONCE) {
      names = names.slice(0, NAMES_AT_ONCE);
      hasMore = true;
    }
  };
  for await (const entry of entriesOf(join(listing.root, folder))) {
    const name = nameOf(entry);
    if (name === undefined || (from !== "" && compareUtf8(name, from) <= 0) || !isWanted(listing, folder + name)) continue;
    names.push(name);
    if (names.length >= 2 * NAMES_AT_ONCE) keepSmallest();
  }
  keepSmallest();
  return { names, hasMore };
}

async function* entriesOf(folder: string): AsyncGenerator<Dirent> {
  try {
    yield* await opendir(folder, { bufferSize: 256 });
  } catch (error) {
    const code = systemCode(error);
    if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
  }
}

function nameOf(entry: Dirent): string | undefined {
  if (!isSegment(entry.name)) return undefined;
  if (entry.isDirectory()) return `${entry.name}/`;
  return entry.isFile() ? entry.name : undefined;
}

/** `key` is an object's, or a folder's with its `/`: that one is wanted if any key in it may be. */
function isWanted({ prefix, after }: Listing, key: string): boolean {
  if (key === `${TEMP_FOLDER}/`) return false;
  if (!key.endsWith("/")) return key.startsWith(prefix) && compareUtf8(key, after) > 0;
  const mayMatch = key.startsWith(prefix) || prefix.startsWith(key);
  return mayMatch && (after.startsWith(key) || compareUtf8(key, after) > 0);
}
