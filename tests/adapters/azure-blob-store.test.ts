import { generateBlobSASQueryParameters, StorageSharedKeyCredential } from "@azure/storage-blob";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { harness, sharedAzurite } from "../../shared/adapters/stores/azure-blob/harness.ts";
import { connectionStringOf } from "../services/azurite.ts";
import { freePort } from "../services/child.ts";
import type { Fault } from "../services/fault-proxy.ts";
import { openProxied, type ProxiedStore } from "./azure-blob-support.ts";

const PLAIN = { contentType: "text/plain" };
const MIB = 1024 * 1024;
const text = (value: string) => Buffer.from(value);
const isUpload = ({ method }: { method: string }) => method === "PUT";
const isCommit = ({ method, url }: { method: string; url: string }) => method === "PUT" && url.includes("comp=blocklist");

/** As Blob Storage tells of a failure. */
const failing = (status: number, code: string, message = "told"): Fault => ({
  kind: "answer",
  status,
  headers: { "content-type": "application/xml", "x-ms-error-code": code, "x-ms-request-id": "r" },
  body: `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${message}\nRequestId:r\nTime:t</Message></Error>`,
});
const unavailable = (part: string) => ({ code: "store_unavailable", retryable: true, message: expect.stringContaining(part) });

describe("the store on Azure Blob Storage", () => {
  let proxied: ProxiedStore;
  let store: ProxiedStore["store"];
  let proxy: ProxiedStore["proxy"];
  let direct: ProxiedStore["direct"];
  let openOn: ProxiedStore["openOn"];
  let requestsOf: ProxiedStore["requestsOf"];
  let keysOf: ProxiedStore["keysOf"];

  beforeEach(async () => {
    proxied = await openProxied();
    ({ store, proxy, direct, openOn, requestsOf, keysOf } = proxied);
  });
  afterEach(() => proxied.close());
  afterAll(() => harness.stop?.());

  test("opening makes no request, and each call makes one", async () => {
    const metadata = { name: "value" };
    expect(await requestsOf(() => openOn())).toBe(0);
    expect(await requestsOf(() => store.put("a", [text("x")], { ...PLAIN, metadata }))).toBe(1);
    expect(await requestsOf(() => store.put("a", [text("x")], PLAIN))).toBe(1);
    expect(await requestsOf(() => store.get("a"))).toBe(1);
    expect(await requestsOf(() => store.get("a", { offset: 0, length: 1 }))).toBe(1);
    expect(await requestsOf(() => keysOf())).toBe(1);
  });

  const passing: [string, Fault][] = [
    ["503 ServerBusy", { ...failing(503, "ServerBusy"), times: 1 }],
    ["500 OperationTimedOut", { ...failing(500, "OperationTimedOut"), times: 1 }],
    ["429", { kind: "answer", status: 429, times: 1 }],
    ["connection cut before the request arrives", { kind: "cut before", times: 1 }],
    ["answer that comes late", { kind: "delay", delayMs: 50, times: 1 }],
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
    const failed = () => expect(store.put("lost", [text("data")], PLAIN)).rejects.toMatchObject(unavailable("connection was cut"));
    expect(await requestsOf(failed)).toBe(3);
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
    const headers = { etag: '"1"', "x-ms-blob-type": "BlockBlob", "content-length": "11", "content-md5": "XrY7u+Ae7tCTyyK7j1rNww==" };
    proxy.fail({ kind: "answer", status: 200, headers, body: "hello worle" });
    await expect(store.get("a")).rejects.toMatchObject(unavailable("do not match their hash"));
    proxy.fail({ kind: "answer", status: 200, headers, body: "hello world" });
    expect((await store.get("a")).bytes.toString()).toBe("hello world");
  });

  test("a range that is not the one asked for is found by its span", async () => {
    const answer = (range: string): Fault => ({
      kind: "answer",
      status: 206,
      headers: { etag: '"1"', "x-ms-blob-type": "BlockBlob", "content-length": "3", "content-range": range },
      body: "cde",
    });
    const read = () => store.get("a", { offset: 2, length: 4 });
    for (const wrong of ["bytes 1-3/10", "bytes 2-4/10", "nothing"]) {
      proxy.fail(answer(wrong));
      await expect(read()).rejects.toMatchObject(unavailable("another range"));
    }
    proxy.fail(answer("bytes 2-4/5"));
    expect((await read()).bytes.toString()).toBe("cde");
  });

  test("lasting faults are store_unavailable and retryable, with what to do", async () => {
    const faults: [Fault, string][] = [
      [failing(503, "ServerBusy"), "throttled"],
      [{ kind: "answer", status: 502 }, "answered 502"],
      [{ kind: "answer", status: 429 }, "too many requests"],
      [failing(403, "AuthenticationFailed"), "credentials are not accepted"],
      [failing(401, "InvalidAuthenticationInfo"), "token or the signature is not accepted"],
      [failing(403, "AuthorizationFailure"), "firewall"],
      [failing(403, "AuthorizationPermissionMismatch"), "Storage Blob Data Contributor"],
      [failing(403, "KeyBasedAuthenticationNotPermitted"), "takes no keys"],
      [failing(403, "InsufficientAccountPermissions"), "read-only"],
      [failing(403, "AccountIsDisabled"), "account is disabled"],
      [failing(409, "BlobArchived"), "rehydrate"],
      [failing(418, "Unheard"), "answered 418"],
      [{ kind: "cut before" }, "connection was cut"],
    ];
    for (const [fault, part] of faults) {
      proxy.fail(fault);
      await expect(store.put("a", [text("x")], PLAIN)).rejects.toMatchObject(unavailable(part));
      await expect(store.get("a")).rejects.toMatchObject(unavailable(part));
      await expect(keysOf()).rejects.toMatchObject(unavailable(part));
    }
  }, 120_000);

  test("a server that never answers is given up", async () => {
    const hasty = await openOn({ idleTimeoutMs: 200 });
    proxy.fail({ kind: "delay", delayMs: 600_000 });
    await expect(hasty.put("a", [text("x")], PLAIN)).rejects.toMatchObject(unavailable("does not answer in time"));
    await expect(hasty.put("a", [Buffer.alloc(17 * MIB)], PLAIN)).rejects.toMatchObject(unavailable("does not answer in time"));
    await expect(hasty.get("a")).rejects.toMatchObject(unavailable("does not answer in time"));
    await expect(hasty.list("")[Symbol.asyncIterator]().next()).rejects.toMatchObject(unavailable("does not answer in time"));
  });

  test("a missing container is store_unavailable at every call", async () => {
    const lost = await openOn({ container: "no-such-container" });
    await expect(lost.put("a", [text("x")], PLAIN)).rejects.toMatchObject(unavailable("create it or correct store.container"));
    await expect(lost.put("a", [Buffer.alloc(17 * MIB)], PLAIN)).rejects.toMatchObject(unavailable("container is missing"));
    await expect(lost.get("a")).rejects.toMatchObject(unavailable("container is missing"));
    await expect(lost.list("")[Symbol.asyncIterator]().next()).rejects.toMatchObject(unavailable("container is missing"));
  });

  test("a missing object is object_missing, without a further request where the server says which", async () => {
    const missing = { code: "object_missing", retryable: false };
    expect(await requestsOf(() => expect(store.get("a")).rejects.toMatchObject(missing))).toBe(1);
    proxy.fail({ kind: "answer", status: 404, times: 1 });
    expect(await requestsOf(() => expect(store.get("a")).rejects.toMatchObject(missing))).toBe(2);
  });

  test("a wrong key, a SAS that has expired and one that grants too little are store_unavailable, and no error shows them", async () => {
    const { account, key } = await sharedAzurite();
    const url = `${proxy.url}/${account}`;
    const wrongKey = Buffer.from("secret").toString("base64");
    const sasOf = (expiresOn: Date, permissions: string) => {
      const credential = new StorageSharedKeyCredential(account, key);
      const options = { containerName: proxied.container, expiresOn, permissions: { toString: () => permissions } as never };
      return generateBlobSASQueryParameters(options, credential).toString();
    };
    const withSas = (sas: string) => `BlobEndpoint=${url};SharedAccessSignature=${sas}`;
    const later = new Date(Date.now() + 3_600_000);
    const good = withSas(sasOf(later, "rcwl"));
    const denied = [
      connectionStringOf({ account, key: wrongKey, url }),
      withSas(sasOf(new Date(Date.now() - 3_600_000), "rcwl")),
      withSas(sasOf(later, "t")),
    ];
    for (const connectionString of denied) {
      const other = await openOn({ connectionString });
      const calls = [() => other.put("a", [text("x")], PLAIN), () => other.get("a"), () => other.list("")[Symbol.asyncIterator]().next()];
      for (const call of calls) {
        const error = (await call().catch((thrown: Error) => thrown)) as Error;
        expect(error).toMatchObject(unavailable("access denied"));
        const shown = JSON.stringify([error.message, error.cause, String(error.cause), (error.cause as Error).stack]);
        for (const secret of [wrongKey, key, "sig=", "SharedKey "]) expect(shown).not.toContain(secret);
      }
    }
    const granted = await openOn({ connectionString: good });
    expect(await granted.put("a", [text("x")], PLAIN)).toBe("created");
    expect(await granted.put("a", [text("x")], PLAIN)).toBe("existed");
    expect((await granted.get("a")).bytes.toString()).toBe("x");
  });

  test("a cause holds nothing of the request, and an error nothing of a signature", async () => {
    proxy.fail(failing(403, "AuthenticationFailed", "The MAC in 'SharedKey account:c2VjcmV0' is wrong, sig=c2VjcmV0 too."));
    const error = (await store.put("a", [text("x")], PLAIN).catch((thrown: Error) => thrown)) as Error;
    expect(Object.keys(error.cause as object).sort()).toEqual(["code", "status"]);
    expect(JSON.stringify([error.message, String(error.cause)])).not.toContain("c2VjcmV0");
    expect(error.message).toContain("is wrong");
  });

  test.each(["BlobAlreadyExists", "BlobImmutableDueToPolicy", "ConditionNotMet", "LeaseIdMissing", "UnauthorizedBlobOverwrite"])(
    "%s tells that an object exists: of a blob under a policy, with a lease, or for a SAS that may only create",
    async (code) => {
      proxy.fail(failing(409, code));
      expect(await store.put("a", [text("x")], PLAIN)).toBe("existed");
    },
  );

  test("a blob with a lease is not overwritten, and exists", async () => {
    await store.put("a", [text("first")], PLAIN);
    await direct.getBlobClient("a").getBlobLeaseClient().acquireLease(60);
    expect(await store.put("a", [text("second")], PLAIN)).toBe("existed");
    expect(await store.put("a", [Buffer.alloc(17 * MIB)], PLAIN)).toBe("existed");
    expect((await store.get("a")).bytes.toString()).toBe("first");
  });

  test("an object that the server finds too large is too_large, not retryable", async () => {
    proxy.fail(failing(413, "RequestBodyTooLarge"));
    await expect(store.put("a", [text("x")], PLAIN)).rejects.toMatchObject({ code: "too_large", retryable: false });
  });

  test("a wrong URL is store_unavailable: nobody listens, or somebody else does", async () => {
    const { account, key } = await sharedAzurite();
    const silent = await openOn({
      connectionString: connectionStringOf({ account, key, url: `http://127.0.0.1:${await freePort()}/${account}` }),
    });
    await expect(silent.put("a", [text("x")], PLAIN)).rejects.toMatchObject(unavailable("nothing listens"));
    await expect(silent.get("a")).rejects.toMatchObject(unavailable("nothing listens"));
    const unknown = await openOn({ connectionString: connectionStringOf({ account, key, url: "http://no-such-account.invalid" }) });
    await expect(unknown.get("a")).rejects.toMatchObject(unavailable("there is no account of that name"));
    const page = (status: number): Fault => ({
      kind: "answer",
      status,
      headers: { "content-type": "text/html" },
      body: "<html>Welcome</html>",
    });
    proxy.fail(page(404));
    await expect(store.put("a", [text("x")], PLAIN)).rejects.toMatchObject(unavailable("correct store.container or the account's URL"));
    await expect(store.get("a")).rejects.toMatchObject(unavailable("correct store.container or the account's URL"));
    for (const status of [200, 201]) {
      proxy.fail(page(status));
      const foreign = unavailable("none of Azure Blob Storage");
      await expect(store.put("a", [text("x")], PLAIN)).rejects.toMatchObject(foreign);
      await expect(store.put("a", [Buffer.alloc(17 * MIB)], PLAIN)).rejects.toMatchObject(foreign);
      await expect(keysOf()).rejects.toMatchObject(foreign);
      await expect(store.get("a")).rejects.toMatchObject(foreign);
    }
  });

  describe("an object that is written by blocks", () => {
    const pieces = Array.from({ length: 70 }, (_, i) => Buffer.alloc(500_000, `piece ${i};`));
    const isWhole = async (key: string) => (await store.get(key)).bytes.equals(Buffer.concat(pieces));

    test("is whole, whatever was cut on the way, with its metadata, type and hash", async () => {
      proxy.fail({ kind: "cut after", times: 3 });
      expect(await store.put("large", pieces, { ...PLAIN, metadata: { "a b": "c" } })).toBe("created");
      expect(await isWhole("large")).toBe(true);
      expect((await store.get("large", { offset: 8 * MIB - 2, length: 4 })).metadata).toEqual({ "a b": "c" });
      const { contentType, contentMD5 } = await direct.getBlobClient("large").getProperties();
      expect([contentType, contentMD5?.length]).toEqual(["text/plain", 16]);
    });

    test("is whole after the answer to its commit was lost, and exists for the next", async () => {
      proxy.fail({ kind: "cut after", matches: isCommit, times: 1 });
      expect(["created", "existed"]).toContain(await store.put("large", pieces, PLAIN));
      expect(await store.put("large", [Buffer.alloc(17 * MIB)], PLAIN)).toBe("existed");
      expect(await isWhole("large")).toBe(true);
    });

    test("is not there before its commit, and whoever comes next creates it", async () => {
      proxy.fail({ kind: "cut before", matches: isCommit });
      await expect(store.put("large", pieces, PLAIN)).rejects.toMatchObject(unavailable("connection was cut"));
      proxy.fail(null);
      expect((await direct.getBlockBlobClient("large").getBlockList("all")).uncommittedBlocks?.length).toBe(5);
      expect(await keysOf()).toEqual([]);
      await expect(store.get("large")).rejects.toMatchObject({ code: "object_missing" });
      expect(await store.put("large", pieces, PLAIN)).toBe("created");
      expect(await isWhole("large")).toBe(true);
      expect((await direct.getBlockBlobClient("large").getBlockList("uncommitted")).uncommittedBlocks).toEqual([]);
    });

    test("exists where another writer's commit dropped its blocks, and is store_unavailable where none is there", async () => {
      const dropped: Fault = { ...failing(400, "InvalidBlockList"), matches: isCommit };
      proxy.fail(dropped);
      await expect(store.put("large", pieces, PLAIN)).rejects.toMatchObject(unavailable("answered 400"));
      await direct.getBlockBlobClient("large").upload("x", 1);
      expect(await store.put("large", pieces, PLAIN)).toBe("existed");
    });

    test("is one writer's alone, of 20 that write other bytes at once", async () => {
      const writers = Array.from({ length: 20 }, (_, i) => [Buffer.alloc(9 * MIB, `writer ${i} `), Buffer.alloc(8 * MIB, `${i};`)]);
      const results = await Promise.all(writers.map((bytes) => store.put("race", bytes, PLAIN)));
      expect(results.filter((result) => result === "created")).toHaveLength(1);
      const winner = writers[results.indexOf("created")] as Buffer[];
      expect((await store.get("race")).bytes.equals(Buffer.concat(winner))).toBe(true);
    });
  });
});
