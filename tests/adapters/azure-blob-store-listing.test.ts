import fc from "fast-check";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { harness } from "../../shared/adapters/stores/azure-blob/harness.ts";
import type { Page, PageQuery } from "../../shared/adapters/stores/azure-blob/list-page.ts";
import { listObjects } from "../../shared/adapters/stores/azure-blob/listing.ts";
import { blobNameOf, keyOf, namePrefixOf } from "../../shared/adapters/stores/azure-blob/names.ts";
import { compareUtf8 } from "../../shared/core/text.ts";
import { openProxied, type ProxiedStore } from "./azure-blob-support.ts";

const PLAIN = { contentType: "text/plain" };
const sorted = (keys: Iterable<string>) => [...new Set(keys)].sort(compareUtf8);

describe("lists of Azure Blob Storage", () => {
  let proxied: ProxiedStore;
  beforeEach(async () => {
    proxied = await openProxied();
  });
  afterEach(() => proxied.close());
  afterAll(() => harness.stop?.());

  async function putAll(keys: readonly string[]): Promise<void> {
    for (let i = 0; i < keys.length; i += 50) await Promise.all(keys.slice(i, i + 50).map((key) => proxied.store.put(key, [], PLAIN)));
  }

  test("ask for pages of 5,000 as they are needed, and begin near the key behind which they are to go on", async () => {
    const keys = Array.from({ length: 5_050 }, (_, i) => `many/o${String(i).padStart(5, "0")}.avro`);
    await putAll(keys);
    expect(await proxied.requestsOf(async () => expect(await proxied.keysOf("many/")).toEqual(keys))).toBe(2);
    const first = await proxied.requestsOf(async () => {
      for await (const { key } of proxied.store.list("many/")) if (key === keys[10]) return;
    });
    expect(first).toBe(1);
    const last = () => proxied.keysOf("many/", keys[5_040]);
    expect(await proxied.requestsOf(async () => expect(await last()).toEqual(keys.slice(5_041)))).toBe(1);
  });

  test("read a folder by one request, and none that lies before the key behind which they go on", async () => {
    const keys = Array.from({ length: 12 }, (_, i) => `2026/${String(i + 1).padStart(2, "0")}/a`);
    await putAll(keys);
    expect(await proxied.requestsOf(async () => expect(await proxied.keysOf()).toEqual(keys))).toBe(14);
    expect(await proxied.requestsOf(async () => expect(await proxied.keysOf("2026/", keys[9])).toEqual(keys.slice(10)))).toBe(4);
    expect(await proxied.requestsOf(async () => expect(await proxied.keysOf("2026/", "2027")).toEqual([]))).toBe(0);
  });

  test("do not show what is not committed, nor what was deleted", async () => {
    await putAll(["a/kept", "a/deleted"]);
    await proxied.direct.getBlockBlobClient("a/staged").stageBlock(Buffer.from("id").toString("base64"), "x", 1);
    await proxied.direct.deleteBlob("a/deleted");
    expect(await proxied.keysOf()).toEqual(["a/kept"]);
    expect(await proxied.store.put("a/deleted", [Buffer.from("again")], PLAIN)).toBe("created");
  });

  test("fail where a folder ahead fails, and leave no rejection behind where nobody reads that far", async () => {
    await putAll(["a/1", "b/1", "c/1"]);
    proxied.proxy.fail({ kind: "answer", status: 403, matches: ({ url }) => url.includes("prefix=c") });
    await expect(proxied.keysOf()).rejects.toMatchObject({ code: "store_unavailable" });
    const first = await proxied.store.list("")[Symbol.asyncIterator]().next();
    expect(first.value).toEqual({ key: "a/1", size: 0 });
  });
});

/** Orders in which accounts list the names of a folder, a folder's name with its `/`: by UTF-16 units, by bytes, or folders as if without it. */
const ORDERS: Record<string, (a: string, b: string) => number> = {
  "by UTF-16 units": (a, b) => (a < b ? -1 : a > b ? 1 : 0),
  "by bytes": compareUtf8,
  "with a hierarchical namespace": (a, b) => compareUtf8(a.replace(/\/$/, ""), b.replace(/\/$/, "")) || a.length - b.length,
};

/** A server of lists alone: no emulator has the orders that accounts have. */
function serverOf(keys: readonly string[], order: (a: string, b: string) => number, pageEntries: number) {
  const names = keys.map(blobNameOf);
  return async ({ prefix, from = "", marker }: PageQuery): Promise<Page> => {
    const matching = names.filter((name) => name.startsWith(prefix));
    const entries = new Set(matching.map((name) => name.slice(0, (name.indexOf("/", prefix.length) + 1 || undefined) as number)));
    const all = [...entries].sort(order).filter((entry) => from === "" || order(entry, from) >= 0 || entry === `${from}/`);
    const start = Number(marker ?? 0);
    const page = all.slice(start, start + pageEntries);
    return {
      blobs: page.filter((entry) => !entry.endsWith("/")).map((name) => ({ name, size: 1 })),
      folders: page.filter((entry) => entry.endsWith("/")),
      marker: start + pageEntries < all.length ? String(start + pageEntries) : undefined,
    };
  };
}

describe("whatever the order of an account, lists", () => {
  // Most share their beginning: it is in what follows that orders differ.
  const ending = fc.array(fc.constantFrom("-", ".", " ", "0", "1", "[", "\\", "b", "~", "é", "\uffee", "😀", "日"), { maxLength: 2 });
  const segment = fc
    .tuple(fc.constantFrom("a", "a", "a", "a.", "é", ""), ending)
    .map(([beginning, rest]) => beginning + rest.join(""))
    .filter((text) => !/^\.{0,2}$/.test(text));
  const key = fc.array(segment, { minLength: 1, maxLength: 3 }).map((segments) => segments.join("/"));

  test.each(Object.keys(ORDERS))("%s: come ascending by the bytes of whole keys, exactly what lies behind any key", async (name) => {
    const order = ORDERS[name] as (a: string, b: string) => number;
    const listed = fc.array(key, { minLength: 1, maxLength: 40 }).chain((keys) => {
      const anyPart = fc.tuple(fc.constantFrom("", ...keys), fc.nat(6)).map(([text, cut]) => text.slice(0, text.length - cut));
      return fc.tuple(fc.constant(keys), fc.oneof(fc.constant(""), anyPart), fc.oneof(anyPart, fc.constantFrom("", ...keys), key));
    });
    await fc.assert(
      fc.asyncProperty(listed, fc.integer({ min: 1, max: 5 }), async ([keys, prefix, after], pageEntries) => {
        fc.pre(prefix.isWellFormed() && after.isWellFormed());
        const found = await Array.fromAsync(listObjects(serverOf(keys, order, pageEntries), prefix, after), (entry) => entry.key);
        expect(found).toEqual(sorted(keys).filter((each) => each.startsWith(prefix) && compareUtf8(each, after) > 0));
      }),
      { numRuns: 2_000 },
    );
  });

  test("names of blobs stand for one key each, and sort and begin as the keys do", () => {
    fc.assert(
      fc.property(segment, segment, (a, b) => {
        expect(keyOf(blobNameOf(a))).toBe(a);
        expect(Math.sign(compareUtf8(blobNameOf(a), blobNameOf(b)))).toBe(Math.sign(compareUtf8(a, b)));
        expect(blobNameOf(b).startsWith(namePrefixOf(a))).toBe(b.startsWith(a));
      }),
      { numRuns: 5_000 },
    );
  });
});
