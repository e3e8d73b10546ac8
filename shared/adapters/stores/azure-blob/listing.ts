import type { ObjectEntry } from "../../../core/ports/object-store.ts";
import { compareUtf8 } from "../../../core/text.ts";
import { keyFault, segmentFault } from "../../support/object-key.ts";
import type { Page, PageQuery } from "./list-page.ts";
import { keyOf, namePrefixOf } from "./names.ts";

/*
 * Accounts with a hierarchical namespace list `a/b` before `a-b`, others list whole names by their characters. So the tree is walked folder by
 * folder, which both of them list by the names in it; a folder's name without its `/` is where it comes at the earliest.
 */

/** Folders whose first page is asked for while the one before them is read. */
const FOLDERS_AHEAD = 8;
/** From here on an order by characters and one by UTF-16 units differ. */
const FIRST_UNSURE = /[\ud800-\uffff]/;
/** What sorts before `/`, or is unsure. */
const BEFORE_SLASH = /[ -.\ud800-\uffff]/;

interface Listing {
  readPage(query: PageQuery): Promise<Page>;
  prefix: string;
  after: string;
}

/** An object, or a folder: its key ends in `/`. */
interface Name {
  key: string;
  size: number;
}

/** The objects whose keys start with `prefix` and come after `after`, ascending by the UTF-8 bytes of the whole key. */
export async function* listObjects(readPage: Listing["readPage"], prefix: string, after: string): AsyncGenerator<ObjectEntry> {
  const folders = prefix.split("/").slice(0, -1);
  const isBehind = !after.startsWith(prefix) && compareUtf8(after, prefix) > 0;
  if (!prefix.isWellFormed() || folders.some((name) => segmentFault(name) !== undefined) || isBehind) return;
  const listing = { readPage, prefix, after };
  const root = folders.map((name) => `${name}/`).join("");
  yield* listFolder(listing, root, readPage(firstQuery(listing, root)));
}

async function* listFolder(listing: Listing, folder: string, first: Promise<Page>): AsyncGenerator<ObjectEntry> {
  for await (const { name, page } of startedAhead(listing, namesOf(listing, folder, first))) {
    if (page) yield* listFolder(listing, name.key, page);
    else yield name;
  }
}

interface Started {
  name: Name;
  /** Of a folder: its first page. */
  page?: Promise<Page>;
}

async function* startedAhead(listing: Listing, names: AsyncIterable<Name>): AsyncGenerator<Started> {
  const waiting: Started[] = [];
  for await (const name of names) {
    const page = name.key.endsWith("/") ? listing.readPage(firstQuery(listing, name.key)) : undefined;
    // Whoever reads the folder sees the failure; perhaps nobody does.
    page?.catch(() => {});
    waiting.push({ name, page });
    if (waiting.length > FOLDERS_AHEAD) yield waiting.shift() as Started;
  }
  yield* waiting;
}

/** What lies in `folder` and may lead to wanted keys, ascending. */
async function* namesOf(listing: Listing, folder: string, first: Promise<Page>): AsyncGenerator<Name> {
  const query = firstQuery(listing, folder);
  let held: Name[] = [];
  for (let next = first; ; ) {
    const { blobs, folders, marker } = await next;
    const names = [...blobs.filter(isNoFolder), ...folders.map((name) => ({ name, size: 0 }))].flatMap(({ name, size }) => {
      const key = keyOf(name);
      return key === undefined ? [] : [{ key, size }];
    });
    held = [...held, ...names.filter(({ key }) => isWanted(listing, key))].sort((a, b) => compareUtf8(a.key, b.key));
    if (marker === undefined) break;
    const bound = names.map(({ key }) => earliestBehind(key)).reduce((a, b) => (compareUtf8(a, b) < 0 ? b : a), "");
    const passed = held.filter(({ key }) => compareUtf8(key, bound) <= 0);
    held = held.slice(passed.length);
    yield* passed;
    next = listing.readPage({ ...query, marker });
  }
  yield* held;
}

/** Some programs mark a folder by a blob of its name. */
function isNoFolder({ name }: { name: string }): boolean {
  return !name.endsWith("/");
}

/** No page behind the one that has `key` has a key before this. */
function earliestBehind(key: string): string {
  const name = key.endsWith("/") ? key.slice(0, -1) : key;
  return cutBefore(name, FIRST_UNSURE);
}

function isWanted({ after }: Listing, key: string): boolean {
  if (!key.endsWith("/")) return keyFault(key) === undefined && compareUtf8(key, after) > 0;
  const isKept = segmentFault(key.slice(0, -1).split("/").at(-1) as string) === undefined;
  return isKept && (after.startsWith(key) || compareUtf8(key, after) > 0);
}

/** Asks for no more of a folder than has to be skipped: of the names that sort before `after`'s, a folder's may lead behind it. */
function firstQuery({ prefix, after }: Listing, folder: string): PageQuery {
  const within = prefix.startsWith(folder) ? prefix : folder;
  const query = { prefix: namePrefixOf(within) };
  if (!after.startsWith(folder)) return query;
  const [segment = ""] = after.slice(folder.length).split("/");
  const from = namePrefixOf(folder + cutBefore(segment, BEFORE_SLASH));
  return from.startsWith(query.prefix) && from !== query.prefix ? { ...query, from } : query;
}

function cutBefore(text: string, pattern: RegExp): string {
  const at = text.search(pattern);
  return at < 0 ? text : text.slice(0, at);
}
