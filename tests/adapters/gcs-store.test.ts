import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { harness } from "../../shared/adapters/stores/gcs/harness.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { freePort } from "../services/child.ts";
import type { Fault } from "../services/fault-proxy.ts";
import { openProxied, type ProxiedStore } from "./gcs-support.ts";

const PLAIN = { contentType: "text/plain" };
const text = (value: string) => Buffer.from(value);
const isUpload = ({ url }: { url: string }) => url.startsWith("/upload/");

const jsonAnswer = (status: number, message: string): Fault => ({
  kind: "answer",
  status,
  headers: { "content-type": "application/json; charset=UTF-8" },
  body: JSON.stringify({ error: { code: status, message, errors: [{ message, domain: "global", reason: "r" }] } }),
});
const xmlAnswer = (status: number, code: string, details: string): Fault => ({
  kind: "answer",
  status,
  headers: { "content-type": "application/xml; charset=UTF-8" },
  body: `<?xml version='1.0' encoding='UTF-8'?><Error><Code>${code}</Code><Message>m</Message><Details>${details}</Details></Error>`,
});
const unavailable = (part: string) => ({ code: "store_unavailable", retryable: true, message: expect.stringContaining(part) });

describeWhere(harness.missing?.(), "the store on Cloud Storage", () => {
  let proxied: ProxiedStore;
  let store: ProxiedStore["store"];
  let proxy: ProxiedStore["proxy"];
  let bucket: ProxiedStore["bucket"];
  let openOn: ProxiedStore["openOn"];
  let requestsOf: ProxiedStore["requestsOf"];
  let keysOf: ProxiedStore["keysOf"];

  beforeEach(async () => {
    proxied = await openProxied();
    ({ store, proxy, bucket, openOn, requestsOf, keysOf } = proxied);
  });
  afterEach(() => proxied.close());
  afterAll(() => harness.stop?.());

  test("opening makes no request, and each call makes one", async () => {
    const metadata = { name: "value" };
    expect(await requestsOf(() => openOn(proxy.url))).toBe(0);
    expect(await requestsOf(() => store.put("a", [text("x")], { ...PLAIN, metadata }))).toBe(1);
    expect(await requestsOf(() => store.put("a", [text("x")], PLAIN))).toBe(1);
    expect(await requestsOf(() => store.get("a"))).toBe(1);
    expect(await requestsOf(() => store.get("a", { offset: 0, length: 1 }))).toBe(1);
    expect(await requestsOf(() => keysOf())).toBe(1);
  });

  test("lists 2,050 objects in three requests, made as they are needed", async () => {
    const keys = Array.from({ length: 2050 }, (_, i) => `many/${String(i).padStart(5, "0")}`);
    for (let i = 0; i < keys.length; i += 50) {
      await Promise.all(keys.slice(i, i + 50).map((key) => store.put(key, [], PLAIN)));
    }
    expect(await requestsOf(async () => expect(await keysOf("many/")).toEqual(keys))).toBe(3);
    const first = await requestsOf(async () => {
      for await (const { key } of store.list("many/")) if (key === keys[10]) return;
    });
    expect(first).toBe(1);
    expect(await keysOf("many/", keys[2040])).toEqual(keys.slice(2041));
  });

  const passing: [string, Fault][] = [
    ["503", { kind: "answer", status: 503, times: 1 }],
    ["503 with Retry-After", { kind: "answer", status: 503, headers: { "retry-after": "1" }, times: 1 }],
    ["429", { ...jsonAnswer(429, "slow down"), times: 1 }],
    ["a connection cut before the request arrives", { kind: "cut before", times: 1 }],
    ["an answer that comes late", { kind: "delay", delayMs: 50, times: 1 }],
  ];
  test.each(passing)("a single %s fails no call", async (_, fault) => {
    proxy.fail(fault);
    expect(await store.put("a", [text("one "), text("two")], PLAIN)).toBe("created");
    proxy.fail(fault);
    expect((await store.get("a")).bytes.toString()).toBe("one two");
    proxy.fail(fault);
    expect(await keysOf()).toEqual(["a"]);
  });

  test("an answer lost after the write is no error, and the object is what was given", async () => {
    const pieces = [Buffer.alloc(700_000, "one "), Buffer.alloc(300_000, "two ")];
    proxy.fail({ kind: "cut after", matches: isUpload, times: 1 });
    expect(["created", "existed"]).toContain(await store.put("lost", pieces, PLAIN));
    expect((await store.get("lost")).bytes.equals(Buffer.concat(pieces))).toBe(true);
    expect(await keysOf()).toEqual(["lost"]);
  });

  test("an answer lost each time is store_unavailable, and the caller's next try finds the object", async () => {
    proxy.fail({ kind: "cut after", matches: isUpload });
    const requests = await requestsOf(() =>
      expect(store.put("lost", [text("data")], PLAIN)).rejects.toMatchObject(unavailable("connection was cut")),
    );
    expect(requests).toBe(3);
    proxy.fail(null);
    expect(await store.put("lost", [text("other")], PLAIN)).toBe("existed");
    expect((await store.get("lost")).bytes.toString()).toBe("data");
  });

  test("an answer cut off within its body is store_unavailable, never short bytes", async () => {
    await store.put("large", [Buffer.alloc(1_000_000, "x")], PLAIN);
    proxy.fail({ kind: "cut within" });
    await expect(store.get("large")).rejects.toMatchObject(unavailable("connection was cut"));
    await expect(store.get("large", { offset: 10, length: 500_000 })).rejects.toMatchObject(unavailable("connection was cut"));
    proxy.fail({ kind: "cut within", times: 1 });
    expect((await store.get("large")).bytes.equals(Buffer.alloc(1_000_000, "x"))).toBe(true);
  });

  test("altered bytes are found by their hash", async () => {
    const headers = { "x-goog-generation": "1", "x-goog-hash": "crc32c=AAAAAA==,md5=XrY7u+Ae7tCTyyK7j1rNww==" };
    proxy.fail({ kind: "answer", status: 200, headers, body: "hello worle" });
    await expect(store.get("a")).rejects.toMatchObject(unavailable("do not match their hash"));
    proxy.fail({ kind: "answer", status: 200, headers, body: "hello world" });
    expect((await store.get("a")).bytes.toString()).toBe("hello world");
  });

  test("a range that is not the one asked for is found by its span", async () => {
    const answer = (range: string): Fault => ({
      kind: "answer",
      status: 206,
      headers: { "x-goog-generation": "1", "content-range": range },
      body: "cde",
    });
    const read = () => store.get("a", { offset: 2, length: 4 });
    for (const wrong of ["bytes 1-3/10", "bytes 2-4/10", ""]) {
      proxy.fail(answer(wrong));
      await expect(read()).rejects.toMatchObject(unavailable("another range"));
    }
    proxy.fail(answer("bytes 2-4/5"));
    expect((await read()).bytes.toString()).toBe("cde");
  });

  test("lasting faults are store_unavailable and retryable, with what to do", async () => {
    const faults: [Fault, string][] = [
      [{ kind: "answer", status: 503 }, "answered 503"],
      [jsonAnswer(429, "rate limit"), "too many requests"],
      [jsonAnswer(408, "too slow"), "waited too long"],
      [{ kind: "cut before" }, "connection was cut"],
    ];
    for (const [fault, part] of faults) {
      proxy.fail(fault);
      await expect(store.put("a", [text("x")], PLAIN)).rejects.toMatchObject(unavailable(part));
      await expect(store.get("a")).rejects.toMatchObject(unavailable(part));
      await expect(keysOf()).rejects.toMatchObject(unavailable(part));
    }
  }, 60_000);

  test("a server that never answers is given up", async () => {
    const hasty = await openOn(proxy.url, { idleTimeoutMs: 200 });
    proxy.fail({ kind: "delay", delayMs: 600_000 });
    await expect(hasty.put("a", [text("x")], PLAIN)).rejects.toMatchObject(unavailable("does not answer in time"));
    await expect(hasty.get("a")).rejects.toMatchObject(unavailable("does not answer in time"));
  }, 30_000);

  test("a missing bucket is store_unavailable at every call, as Cloud Storage says it and as any server does", async () => {
    proxy.fail(jsonAnswer(404, "The specified bucket does not exist."));
    await expect(store.put("a", [text("x")], PLAIN)).rejects.toMatchObject(unavailable("create the bucket or correct store.bucket"));
    await expect(keysOf()).rejects.toMatchObject(unavailable("The specified bucket does not exist."));
    proxy.fail(xmlAnswer(404, "NoSuchBucket", "The specified bucket does not exist."));
    await expect(store.get("a")).rejects.toMatchObject(unavailable("The specified bucket does not exist."));
    proxy.fail(null);
    const lost = await openOn(proxy.url, { bucket: "no-such-bucket" });
    await expect(lost.get("a")).rejects.toMatchObject(unavailable("create the bucket"));
    await expect(lost.list("")[Symbol.asyncIterator]().next()).rejects.toMatchObject(unavailable("create the bucket"));
  });

  test("a missing object is object_missing, without a further request where the server says which", async () => {
    proxy.fail(xmlAnswer(404, "NoSuchKey", `No such object: ${bucket}/a`));
    const missing = { code: "object_missing", retryable: false };
    expect(await requestsOf(() => expect(store.get("a")).rejects.toMatchObject(missing))).toBe(1);
    proxy.fail({ kind: "answer", status: 404, times: 1 });
    expect(await requestsOf(() => expect(store.get("a")).rejects.toMatchObject(missing))).toBe(2);
  });

  test("403 and 401 are store_unavailable with what to grant, and no error shows a credential", async () => {
    const details = "someone does not have storage.objects.get access. Authorization: Bearer ya29.secret-token";
    for (const status of [401, 403]) {
      const part = status === 403 ? "roles/storage.objectUser" : "credentials are not accepted";
      proxy.fail(xmlAnswer(status, "AccessDenied", details));
      const read = await store.get("a").catch((error: Error) => error);
      proxy.fail(jsonAnswer(status, details));
      const write = await store.put("a", [text("x")], PLAIN).catch((error: Error) => error);
      for (const error of [read, write] as Error[]) {
        expect(error).toMatchObject(unavailable(part));
        expect(error.message).toContain("storage.objects.get");
        expect(JSON.stringify([error.message, error.cause, String(error.cause)])).not.toContain("secret");
      }
    }
  });

  test("a cause holds nothing of the request", async () => {
    proxy.fail(jsonAnswer(400, "bad"));
    const error = (await store.put("a", [text("x")], PLAIN).catch((thrown: Error) => thrown)) as Error;
    expect(Object.keys(error.cause as object).sort()).toEqual(["code", "reason"]);
  });

  test("an object that the server finds too large is too_large, not retryable", async () => {
    proxy.fail({ kind: "answer", status: 413 });
    await expect(store.put("a", [text("x")], PLAIN)).rejects.toMatchObject({ code: "too_large", retryable: false });
  });

  test("a wrong URL is store_unavailable: nobody listens, or somebody else does", async () => {
    const silent = await openOn(`http://127.0.0.1:${await freePort()}`);
    await expect(silent.put("a", [text("x")], PLAIN)).rejects.toMatchObject(unavailable("nothing listens"));
    await expect(silent.get("a")).rejects.toMatchObject(unavailable("nothing listens"));
    proxy.fail({ kind: "answer", status: 404, headers: { "content-type": "text/html" }, body: "<h1>Not here</h1>" });
    await expect(store.put("a", [text("x")], PLAIN)).rejects.toMatchObject(unavailable("correct store.bucket or the URL"));
    await expect(store.get("a")).rejects.toMatchObject(unavailable("correct store.bucket or the URL"));
    proxy.fail({ kind: "answer", status: 200, headers: { "content-type": "text/html" }, body: "<h1>Welcome</h1>" });
    await expect(store.put("a", [text("x")], PLAIN)).rejects.toMatchObject(unavailable("correct"));
    await expect(keysOf()).rejects.toMatchObject(unavailable("correct"));
    await expect(store.get("a")).rejects.toMatchObject(unavailable("correct"));
  });
});
