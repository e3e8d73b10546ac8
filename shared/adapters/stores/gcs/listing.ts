import type { Bucket } from "@google-cloud/storage";
import type { ObjectEntry } from "../../../core/ports/object-store.ts";
import { compareUtf8 } from "../../../core/text.ts";
import { keyFault } from "../../support/object-key.ts";
import { foreignAnswer } from "./errors.ts";

/** The server's own limit. */
const PAGE_ENTRIES = 1000;

interface Page {
  entries: ObjectEntry[];
  nextToken: string | undefined;
}

/** One request for a page of the objects whose keys start with `prefix`, from `from` on. */
export async function listPage(bucket: Bucket, prefix: string, from: string, pageToken?: string, maxResults = PAGE_ENTRIES): Promise<Page> {
  const [files, next, answer] = await bucket.getFiles({
    autoPaginate: false,
    fields: "kind,items(name,size),nextPageToken",
    maxResults,
    ...(prefix && { prefix }),
    ...(from && { startOffset: from }),
    ...(pageToken && { pageToken }),
  });
  if ((answer as { kind?: unknown } | undefined)?.kind !== "storage#objects") throw foreignAnswer("it sent something that is no list");
  // With `fields` the SDK hands the entries over as they came.
  const items = files as unknown as readonly { name: string; size: string }[];
  const nextToken = (next as { pageToken?: string } | null)?.pageToken;
  return { entries: items.map(({ name, size }) => ({ key: name, size: Number(size) })), nextToken };
}

/** The objects whose keys start with `prefix` and come after `after`, ascending; a page is asked for when it is needed. */
export async function* listObjects(
  page: (from: string, pageToken?: string) => Promise<Page>,
  prefix: string,
  after: string,
): AsyncGenerator<ObjectEntry> {
  if (!prefix.isWellFormed()) return;
  let token: string | undefined;
  do {
    const { entries, nextToken } = await page(after.toWellFormed(), token);
    // The server begins with `after` itself, and other programs may have written what no key can be.
    for (const entry of entries) if (compareUtf8(entry.key, after) > 0 && keyFault(entry.key) === undefined) yield entry;
    token = nextToken;
  } while (token !== undefined);
}
