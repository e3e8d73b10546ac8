import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { fileURLToPath } from "node:url";
import { BlobServiceClient } from "@azure/storage-blob";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { open } from "../../shared/adapters/stores/azure-blob/adapter.ts";
import type { ObjectStore } from "../../shared/core/ports/object-store.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { type Azurite, type Certificate, certificateMissing, makeCertificate, startAzurite } from "../services/azurite.ts";
import { type IdentityEndpoint, startIdentityEndpoint } from "../services/identity-endpoint.ts";

const PLAIN = { contentType: "text/plain" };
describeWhere(certificateMissing(), "the store on Azure Blob Storage with an identity", () => {
  const trusted = getCACertificates("default");
  let certificate: Certificate;
  let azurite: Azurite;
  let endpoint: IdentityEndpoint;
  let container: string;
  let store: ObjectStore | undefined;

  beforeAll(async () => {
    certificate = makeCertificate();
    setDefaultCACertificates([...trusted, certificate.pem]);
    azurite = await startAzurite({ certificate });
    endpoint = await startIdentityEndpoint();
  });
  beforeEach(async () => {
    endpoint.asked.length = 0;
    for (const [name, value] of Object.entries(endpoint.env)) vi.stubEnv(name, value);
    container = `test-${randomUUID()}`;
    await BlobServiceClient.fromConnectionString(azurite.connectionString).createContainer(container);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await store?.close();
  });
  afterAll(async () => {
    setDefaultCACertificates(trusted);
    await endpoint.close();
    await azurite.stop();
    certificate.remove();
  });

  test("writes, reads and lists by one token of the user-assigned identity", async () => {
    const clientId = randomUUID();
    store = await open({ container, blobServiceUri: azurite.url, credential: "managedidentity", clientId });
    expect(endpoint.asked).toEqual([]);
    expect(await store.put("a", [Buffer.from("0123")], { ...PLAIN, metadata: { name: "value" } })).toBe("created");
    expect(await store.put("a", [Buffer.from("x")], PLAIN)).toBe("existed");
    expect((await store.get("a", { offset: 1, length: 2 })).bytes.toString()).toBe("12");
    expect((await Array.fromAsync(store.list(""))).map(({ key }) => key)).toEqual(["a"]);
    expect(endpoint.asked).toHaveLength(1);
    const [{ query, headers } = { query: new URLSearchParams(), headers: {} }] = endpoint.asked;
    expect(headers["x-identity-header"]).toBe(endpoint.env.IDENTITY_HEADER);
    expect(query.get("client_id")).toBe(clientId);
    expect(query.get("resource")).toBe("https://storage.azure.com");
  });

  test("writes by the process's own identity where none is named", async () => {
    store = await open({ container, blobServiceUri: azurite.url });
    expect(await store.put("a", [Buffer.from("x")], PLAIN)).toBe("created");
    expect(endpoint.asked.map(({ query }) => query.get("client_id"))).toEqual([null]);
  });

  test("is store_unavailable, with what to set, while no token is to be had, and goes on afterwards", async () => {
    endpoint.refuseWith(400);
    store = await open({ container, blobServiceUri: azurite.url, credential: "managedidentity", clientId: randomUUID() });
    const error = (await store.put("a", [Buffer.from("x")], PLAIN).catch((thrown: Error) => thrown)) as Error;
    expect(error).toMatchObject({ code: "store_unavailable", retryable: true, message: expect.stringContaining("no token could be had") });
    expect(error.message).toContain("PERSISTOR_AZURE_STORAGE__clientId");
    expect(JSON.stringify([error.message, String(error.cause)])).not.toContain(endpoint.env.IDENTITY_HEADER);
    endpoint.refuseWith(undefined);
    expect(await store.put("a", [Buffer.from("x")], PLAIN)).toBe("created");
  });
});

test("a process that uses a connection string does not load the package of identities", () => {
  const script = `
    const { registerHooks } = await import("node:module");
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    const { open } = await import(${JSON.stringify(new URL("../../shared/adapters/stores/azure-blob/adapter.ts", import.meta.url).href)});
    await open(JSON.parse(process.argv[1]));
    console.log(loaded.filter((url) => url.includes("/@azure/identity/")).length, loaded.filter((url) => url.includes("/@azure/storage-blob/")).length > 0);`;
  const run = (settings: Record<string, string>) =>
    execFileSync(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", script, JSON.stringify(settings)],
      {
        cwd: fileURLToPath(new URL("../../", import.meta.url)),
        encoding: "utf8",
      },
    ).trim();
  expect(run({ container: "lake", connectionString: "UseDevelopmentStorage=true" })).toBe("0 true");
  expect(run({ container: "lake", blobServiceUri: "https://account.blob.core.windows.net" })).toMatch(/^[1-9]\d* true$/);
});
