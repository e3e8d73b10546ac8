import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { stores } from "../../shared/adapters/registry.ts";
import type { ObjectStore } from "../../shared/core/ports/object-store.ts";
import { compareUtf8 } from "../../shared/core/text.ts";
import { describeAdapters, type StoreFixture } from "./support-ports.ts";

const PLAIN = { contentType: "application/octet-stream" };
const text = (value: string) => Buffer.from(value);

async function keysOf(store: ObjectStore, prefix: string, after?: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix, after)) keys.push(key);
  return keys;
}

await describeAdapters("object store", "stores", Object.keys(stores), (harness) => {
  let fixture: StoreFixture;
  let store: ObjectStore;

  beforeEach(async () => {
    fixture = await harness.fresh();
    store = fixture.store;
  });
  afterEach(() => fixture.dispose());

  test("gives back the pieces of an object in order", async () => {
    expect(await store.put("raw/orders/a.avro", [text("one "), text(""), text("two")], PLAIN)).toBe("created");
    expect((await store.get("raw/orders/a.avro")).bytes.toString()).toBe("one two");
  });

  test("holds an empty object", async () => {
    expect(await store.put("empty", [], PLAIN)).toBe("created");
    expect((await store.get("empty")).bytes.length).toBe(0);
    expect(await keysOf(store, "")).toEqual(["empty"]);
  });

  test("holds an object of 20 MB in many pieces", async () => {
    const pieces = Array.from({ length: 2000 }, (_, i) => Buffer.alloc(10_000, `piece ${i};`));
    await store.put("large", pieces, PLAIN);
    expect((await store.get("large")).bytes.equals(Buffer.concat(pieces))).toBe(true);
  });

  test("never overwrites an object", async () => {
    await store.put("a/b", [text("first")], PLAIN);
    expect(await store.put("a/b", [text("second")], PLAIN)).toBe("existed");
    expect((await store.get("a/b")).bytes.toString()).toBe("first");
  });

  test("lets exactly one of many writers of a key create it", async () => {
    const results = await Promise.all(Array.from({ length: 20 }, (_, i) => store.put("race/key", [text(`writer ${i}`)], PLAIN)));
    expect(results.filter((result) => result === "created")).toHaveLength(1);
    expect((await store.get("race/key")).bytes.toString()).toBe(`writer ${results.indexOf("created")}`);
  });

  test("reads ranges, cut at the object's end", async () => {
    await store.put("digits", [text("01234"), text("56789")], PLAIN);
    const read = async (offset: number, length: number) => (await store.get("digits", { offset, length })).bytes.toString();
    expect(await read(0, 3)).toBe("012");
    expect(await read(3, 4)).toBe("3456");
    expect(await read(8, 100)).toBe("89");
    expect(await read(10, 1)).toBe("");
    expect(await read(50, 1)).toBe("");
  });

  test("says object_missing, not retryable, for what is not there", async () => {
    await store.put("a/b", [text("x")], PLAIN);
    for (const key of ["nothing", "a", "a/b/c", "a/bb"]) {
      await expect(store.get(key)).rejects.toMatchObject({ code: "object_missing", retryable: false });
    }
  });

  const badKeys = [
    "",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/../b",
    "../a",
    "a/./b",
    "a\u0000b",
    "a\nb",
    "a/\u007f",
    "a/\u0085",
    `${"x/".repeat(450)}y`,
    "\ud800",
  ];
  test.each(badKeys)("refuses key %j as key_invalid everywhere", async (key) => {
    await expect(store.put(key, [text("x")], PLAIN)).rejects.toMatchObject({ code: "key_invalid", retryable: false });
    await expect(store.get(key)).rejects.toMatchObject({ code: "key_invalid" });
    expect(await keysOf(store, "")).toEqual([]);
  });

  test("holds keys of 900 bytes, of any characters and of names with a meaning elsewhere", async () => {
    const long = `${"seg/".repeat(224)}last`;
    const keys = [long, "ü/日本/😀", "a b", "CON", "a%2Fb", "year=2024/x", "~", "a\\b", "__proto__", "...", "-rf"].sort(compareUtf8);
    for (const key of keys) await store.put(key, [text(key)], PLAIN);
    expect(await keysOf(store, "")).toEqual(keys);
    for (const key of keys) expect((await store.get(key)).bytes.toString()).toBe(key);
  });

  test("lists by the bytes of whole keys, not by folder", async () => {
    const keys = ["a/b", "a-b", "a0", "a.b", "a/a/z", "a/a.z", "A", "é", "z", "a/ü", "a/😀", "a/\uffee"];
    for (const key of keys) await store.put(key, [text(key)], PLAIN);
    const sorted = keys.toSorted(compareUtf8);
    expect(await keysOf(store, "")).toEqual(sorted);
    expect(await keysOf(store, "a/")).toEqual(sorted.filter((key) => key.startsWith("a/")));
    expect(await keysOf(store, "a/a")).toEqual(["a/a.z", "a/a/z"]);
    expect(await keysOf(store, "nothing/")).toEqual([]);
    expect(await keysOf(store, "../")).toEqual([]);
  });

  test("lists the sizes", async () => {
    await store.put("a/one", [text("12345")], PLAIN);
    const entries = [];
    for await (const entry of store.list("")) entries.push(entry);
    expect(entries).toEqual([{ key: "a/one", size: 5 }]);
  });

  test("lists exactly what comes behind any key, whatever the prefix", async () => {
    const segment = fc.constantFrom("a", "b", "a-", "a0", "ab", "é", "~", "A", "😀");
    const key = fc.array(segment, { minLength: 1, maxLength: 3 }).map((segments) => `${segments.join("/")}.x`);
    const keys = fc.sample(key, { numRuns: 60, seed: 7 });
    for (const each of keys) await store.put(each, [text("x")], PLAIN);
    const distinct = [...new Set(keys)].sort(compareUtf8);
    const anyText = fc.oneof(key, fc.constantFrom("", "a", "a/", "a/b", "b/a-", "é/", "~", "a/b/", "zz"));
    await fc.assert(
      fc.asyncProperty(anyText, anyText, async (prefix, after) => {
        const expected = distinct.filter((each) => each.startsWith(prefix) && compareUtf8(each, after) > 0);
        expect(await keysOf(store, prefix, after)).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  test("keeps its objects over a reopening", async () => {
    await store.put("kept/x", [text("x")], PLAIN);
    const again = await fixture.reopen();
    expect(await keysOf(again, "")).toEqual(["kept/x"]);
    expect(await again.put("kept/x", [text("y")], PLAIN)).toBe("existed");
    await again.close();
  });

  test("holds metadata up to its limit and refuses it beyond", async () => {
    const limit = store.limits.metadataBytes;
    const metadata = { name: "x".repeat(Math.max(0, limit - 4)) };
    if (limit > 4) {
      await store.put("with", [text("x")], { ...PLAIN, metadata });
      expect((await store.get("with")).metadata).toEqual(metadata);
    }
    const beyond = { name: `${metadata.name}x` };
    await expect(store.put("beyond", [text("x")], { ...PLAIN, metadata: beyond })).rejects.toMatchObject({ code: "unsupported" });
    expect(await keysOf(store, "")).toEqual(limit > 4 ? ["with"] : []);
  });

  test("gives back metadata of any characters and no bytes, if it holds any", async () => {
    const metadata = { "Ünïcode Näme": "Grüße, 日本語 😀", empty: "", lines: " a\r\nb\u0000 ", percent: "100% %41" };
    if (store.limits.metadataBytes === 0) {
      await expect(store.put("with", [text("x")], { ...PLAIN, metadata })).rejects.toMatchObject({ code: "unsupported" });
      return;
    }
    await store.put("with", [], { ...PLAIN, metadata });
    expect(await store.get("with")).toEqual({ bytes: Buffer.alloc(0), metadata });
    await store.put("without", [text("x")], PLAIN);
    expect((await store.get("without")).metadata).toEqual({});
  });
});
