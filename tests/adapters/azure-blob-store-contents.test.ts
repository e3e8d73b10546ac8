import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { open } from "../../shared/adapters/stores/azure-blob/adapter.ts";
import { harness } from "../../shared/adapters/stores/azure-blob/harness.ts";
import { openProxied, type ProxiedStore } from "./azure-blob-support.ts";

const PLAIN = { contentType: "text/plain" };
const text = (value: string) => Buffer.from(value);

describe("what the store sends to Azure Blob Storage", () => {
  let proxied: ProxiedStore;
  let store: ProxiedStore["store"];
  let proxy: ProxiedStore["proxy"];
  let direct: ProxiedStore["direct"];
  let keysOf: ProxiedStore["keysOf"];

  beforeEach(async () => {
    proxied = await openProxied();
    ({ store, proxy, direct, keysOf } = proxied);
  });
  afterEach(() => proxied.close());
  afterAll(() => harness.stop?.());

  test("metadata comes back unaltered, whatever its characters", async () => {
    const metadata = {
      plain: "value",
      "Mixed Case: name": " blanks at both ends ",
      "mixed case: name": "two  blanks   and more",
      "": "empty name",
      empty: "",
      "7up": "a digit ahead",
      hdi_isfolder: "true",
      ünïcode: "Grüße, 日本語 😀 \ufffd",
      "%41_41": "100% %zz %41 _41",
      lines: 'a\r\nb\tc\u0000"\\',
      __proto__x: "x",
      json: '{"v":1,"attributes":[["a","string","b, c"]]}',
    };
    await store.put("a", [text("x")], { ...PLAIN, metadata });
    expect((await store.get("a")).metadata).toEqual(metadata);
    expect((await store.get("a", { offset: 0, length: 1 })).metadata).toEqual(metadata);
  });

  test("what is plain in metadata is stored as it is, and all of it under names that are identifiers", async () => {
    await store.put("a", [text("x")], { ...PLAIN, metadata: { persistor: '{"v":1,"id":"a b"}', "content-type": "b", "9 lives": "c" } });
    const { metadata = {}, contentType } = await direct.getBlobClient("a").getProperties();
    expect(contentType).toBe("text/plain");
    expect(metadata).toMatchObject({ persistor: '{"v":1,"id":"a b"}' });
    for (const name of Object.keys(metadata)) expect(name).toMatch(/^[a-z_][a-z0-9_]*$/);
  });

  test("metadata at the limit fits what Azure holds, even if every byte is encoded", async () => {
    const metadata = { N: "\u0001".repeat(store.limits.metadataBytes - 1) };
    await store.put("a", [text("x")], { ...PLAIN, metadata });
    const stored = Object.entries((await direct.getBlobClient("a").getProperties()).metadata ?? {})
      .flat()
      .join("");
    expect(Buffer.byteLength(stored)).toBeLessThanOrEqual(8192);
    expect((await store.get("a")).metadata).toEqual(metadata);
  });

  test("keys that mean something in a URL, and such as Azure takes for one another, are blobs of their own", async () => {
    const keys = [
      ...["a/:b", "a?b#c", "a+b & c=d", "a%2fb", "%2E%2E/x", "é/😀", "it's (all) *here*!", "~a", "a;b,c@d$"],
      ...["b/c", "b\\c", "b[1c", "b[2c", "b[", "b]", "d", "d.", "d..", "d. 0", "d. ", "d. 1", "d./e", "d/e", "d../e", "...", "c. /x"],
    ].sort();
    for (const key of keys) expect(await store.put(key, [text(key)], PLAIN)).toBe("created");
    for (const key of keys) expect((await store.get(key)).bytes.toString()).toBe(key);
    expect((await keysOf()).sort()).toEqual(keys);
    for (const prefix of ["b\\", "b[", "d.", "d./", "d. ", "."]) {
      expect((await keysOf(prefix)).sort()).toEqual(keys.filter((key) => key.startsWith(prefix)));
    }
  });

  test("no blob's name holds a backslash or a segment that ends in a dot", async () => {
    for (const key of ["b\\c", "d.", "d./e", "...", ". /x"]) await store.put(key, [text(key)], PLAIN);
    const names = (await Array.fromAsync(direct.listBlobsFlat())).map(({ name }) => name);
    expect(names).toHaveLength(5);
    for (const name of names) expect(name).not.toMatch(/\\|\.(\/|$)/);
  });

  test("keys that Azure cannot hold are key_invalid", async () => {
    for (const key of [Array.from({ length: 255 }, () => "a").join("/"), "\\".repeat(600)]) {
      await expect(store.put(key, [text("x")], PLAIN)).rejects.toMatchObject({ code: "key_invalid", retryable: false });
      await expect(store.get(key)).rejects.toMatchObject({ code: "key_invalid" });
    }
    expect(await keysOf()).toEqual([]);
  });

  test("blobs of other programs whose names no key can have are not listed", async () => {
    for (const name of ["a", "b//c", "d/", "/e", "f[g"]) await direct.getBlockBlobClient(name).upload("x", 1);
    expect(await keysOf()).toEqual(["a"]);
  });

  test("a folder of an account with a hierarchical namespace, which reads like an empty blob, is object_missing", async () => {
    await direct.getBlockBlobClient("folder").upload("", 0, { metadata: { hdi_isfolder: "true" } });
    await expect(store.get("folder")).rejects.toMatchObject({ code: "object_missing", retryable: false });
  });

  test("a content type that cannot stand in a header is left out, and the bytes stay whole", async () => {
    for (const [i, contentType] of ["text/plain\r\nx: y", "", "auto", "application/json; charset=utf-8"].entries()) {
      await store.put(`a${i}`, [text("bytes")], { contentType });
      const stored = await direct.getBlobClient(`a${i}`).getProperties();
      expect(stored).toMatchObject({ contentType: i === 3 ? contentType : "application/octet-stream", contentLength: 5 });
    }
  });

  test("connections are kept for further calls, and closing ends them", async () => {
    const putting = (round: number) => Promise.all(Array.from({ length: 16 }, (_, i) => store.put(`${round}/${i}`, [text("x")], PLAIN)));
    await putting(1);
    for (let round = 2; round < 6; round++) await putting(round);
    expect(proxy.connections).toBe(16);
    await store.close();
    await expect.poll(() => proxy.connections).toBe(0);
    expect((await store.get("1/0")).bytes.toString()).toBe("x");
  });

  test("wrong settings are refused by name, without what they say", async () => {
    const { container, connectionString } = proxied;
    const refused = async (settings: Record<string, unknown>, name: string) => {
      const error = (await open(settings).catch((thrown: Error) => thrown)) as Error;
      expect(error).toMatchObject({ code: "settings_invalid", message: expect.stringContaining(name) });
      expect(error.message).not.toContain("secret");
    };
    for (const wrong of ["Lake", "a", "a--b", "-a", "a_b", "x".repeat(64)])
      await refused({ container: wrong, connectionString }, "container");
    await refused({ container, connectionString, contaner: "x" }, "contaner");
    await refused({ container }, "connectionString");
    await refused({ container, connectionString, blobServiceUri: "https://a.blob.core.windows.net" }, "blobServiceUri");
    await refused({ container, connectionString: "AccountName=a;AccountKey=secret" }, "connectionString");
    await refused({ container, blobServiceUri: "https://me:secret@host" }, "blobServiceUri");
    await refused({ container, blobServiceUri: "https://host?sig=secret" }, "blobServiceUri");
    await refused({ container, blobServiceUri: "http://host" }, "https://");
    await refused({ container, blobServiceUri: "https://host", credential: "password-secret" }, "credential");
  });
});
