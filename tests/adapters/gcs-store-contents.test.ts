import { afterAll, afterEach, beforeEach, expect, test, vi } from "vitest";
import { open } from "../../shared/adapters/stores/gcs/adapter.ts";
import { harness } from "../../shared/adapters/stores/gcs/harness.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { openProxied, type ProxiedStore } from "./gcs-support.ts";

const PLAIN = { contentType: "text/plain" };
const text = (value: string) => Buffer.from(value);

describeWhere(harness.missing?.(), "what the store sends to Cloud Storage", () => {
  let proxied: ProxiedStore;
  let store: ProxiedStore["store"];
  let proxy: ProxiedStore["proxy"];
  let bucket: ProxiedStore["bucket"];
  let serverUrl: ProxiedStore["serverUrl"];
  let openOn: ProxiedStore["openOn"];
  let keysOf: ProxiedStore["keysOf"];

  beforeEach(async () => {
    proxied = await openProxied();
    ({ store, proxy, bucket, serverUrl, openOn, keysOf } = proxied);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await proxied.close();
  });
  afterAll(() => harness.stop?.());

  test("metadata comes back unaltered, whatever its characters", async () => {
    const metadata = {
      plain: "value",
      "Mixed Case: name": " blanks at both ends ",
      "": "empty name",
      empty: "",
      ünïcode: "Grüße, 日本語 😀",
      "%41": "100% %zz %41",
      lines: 'a\r\nb\tc\u0000"\\',
      project: "{{projectId}} {{{projectId}}}",
      __proto__x: "x",
      json: '{"v":1,"attributes":[["a","string","b, c"]]}',
    };
    await store.put("a", [text("x")], { ...PLAIN, metadata });
    expect((await store.get("a")).metadata).toEqual(metadata);
  });

  test("what is plain in metadata is stored as it is, for other programs to read", async () => {
    await store.put("a", [text("x")], { ...PLAIN, metadata: { persistor: '{"v":1,"id":"a b"}' } });
    const response = await fetch(`${serverUrl}/storage/v1/b/${bucket}/o/a`);
    expect(await response.json()).toMatchObject({ contentType: "text/plain", metadata: { persistor: '{"v":1,"id":"a b"}' } });
  });

  test("metadata at the limit fits what Cloud Storage holds, even if every byte is encoded", async () => {
    const metadata = { n: "\u0001".repeat(store.limits.metadataBytes - 1) };
    await store.put("a", [text("x")], { ...PLAIN, metadata });
    const response = await fetch(`${serverUrl}/storage/v1/b/${bucket}/o/a`);
    const stored = Object.entries(((await response.json()) as { metadata: Record<string, string> }).metadata)
      .flat()
      .join("");
    expect(Buffer.byteLength(stored)).toBeLessThanOrEqual(8192);
    expect((await store.get("a")).metadata).toEqual(metadata);
  });

  test("keys reach the server as they are, also those that mean something to the SDK", async () => {
    const keys = ["a/:b", "a?b#c", "a+b & c=d", "{{projectId}}/x", "a%2fb", "é/😀"].sort();
    for (const key of keys) await store.put(key, [text(key)], PLAIN);
    for (const key of keys) expect((await store.get(key)).bytes.toString()).toBe(key);
    expect((await keysOf()).sort()).toEqual(keys);
    expect(await keysOf("{{projectId}}")).toEqual(["{{projectId}}/x"]);
  });

  test("a content type that cannot stand in a header is left out, and the bytes stay whole", async () => {
    for (const [i, contentType] of ["text/plain\r\nx: y", "", "auto", "{{projectId}}/x", "application/json; charset=utf-8"].entries()) {
      await store.put(`a${i}`, [text("bytes")], { contentType });
      const response = await fetch(`${serverUrl}/storage/v1/b/${bucket}/o/a${i}`);
      expect(await response.json()).toMatchObject({ contentType: i === 4 ? contentType : "application/octet-stream", size: "5" });
    }
  });

  test("keys that Cloud Storage keeps for itself are key_invalid", async () => {
    await expect(store.put(".well-known/acme-challenge/x", [text("x")], PLAIN)).rejects.toMatchObject({ code: "key_invalid" });
  });

  test("works where the environment names an emulator", async () => {
    vi.stubEnv("STORAGE_EMULATOR_HOST", proxy.url);
    const other = await openOn(proxy.url);
    await other.put("a", [text("x")], PLAIN);
    const entry = await other.list("")[Symbol.asyncIterator]().next();
    expect(entry.value).toEqual({ key: "a", size: 1 });
    expect((await other.get("a")).bytes.toString()).toBe("x");
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
    const refused = (settings: Record<string, unknown>, name: string) =>
      expect(open(settings)).rejects.toMatchObject({ code: "settings_invalid", message: expect.stringContaining(name) });
    await refused({ bucket: "gs://lake" }, "bucket");
    await refused({ bucket, bukcet: "x" }, "bukcet");
    await refused({ bucket, emulatorUrl: "localhost:4443" }, "http://");
    const error = (await open({ bucket, emulatorUrl: "http://me:secret@host" }).catch((thrown: Error) => thrown)) as Error;
    expect(error.message).toContain("emulatorUrl");
    expect(error.message).not.toContain("secret");
  });
});
