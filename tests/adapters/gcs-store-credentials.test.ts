import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Storage } from "@google-cloud/storage";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { prepare, storageOptions } from "../../shared/adapters/stores/gcs/client.ts";
import { freshBucket, harness, sharedFakeGcs } from "../../shared/adapters/stores/gcs/harness.ts";
import { gcsStore } from "../../shared/adapters/stores/gcs/store.ts";
import type { ObjectStore } from "../../shared/core/ports/object-store.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { type Fault, type FaultProxy, startFaultProxy } from "../services/fault-proxy.ts";

const PLAIN = { contentType: "text/plain" };
const SUBJECT = "subject-secret";
const TOKEN = "ya29.token-secret";

/** What the token service answers; all else goes to the server. */
const tokenAnswer = (status: number, body: Readonly<Record<string, unknown>>): Fault => ({
  kind: "answer",
  status,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
  matches: ({ url }) => url === "/token",
});
const GRANTED = tokenAnswer(200, { access_token: TOKEN, expires_in: 3600, token_type: "Bearer", issued_token_type: "x" });

describeWhere(harness.missing?.(), "the store on Cloud Storage with credentials", () => {
  let proxy: FaultProxy;
  let folder: string;
  let store: ObjectStore;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "gcs-credentials-"));
    await writeFile(join(folder, "subject"), SUBJECT);
    proxy = await startFaultProxy((await sharedFakeGcs()).url);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await store.close();
  });
  afterAll(async () => {
    await proxy.close();
    await harness.stop?.();
    await rm(folder, { recursive: true });
  });

  /** As on a cloud, but with a token service and a server of the test's own. */
  async function openWithCredentials(): Promise<ObjectStore> {
    const credentials = {
      type: "external_account",
      audience: "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      token_url: `${proxy.url}/token`,
      credential_source: { file: join(folder, "subject") },
    };
    const file = join(folder, "credentials.json");
    await writeFile(file, JSON.stringify(credentials));
    vi.stubEnv("GOOGLE_APPLICATION_CREDENTIALS", file);
    const options = { ...storageOptions({ projectId: "p", emulatorUrl: proxy.url }), useAuthWithCustomEndpoint: true };
    return gcsStore(prepare(new Storage(options)), await freshBucket((await sharedFakeGcs()).url));
  }

  test("fetches one token for all calls", async () => {
    proxy.fail(GRANTED);
    store = await openWithCredentials();
    const before = proxy.requests;
    expect(await store.put("a", [Buffer.from("0123")], PLAIN)).toBe("created");
    expect((await store.get("a")).bytes.toString()).toBe("0123");
    expect((await store.get("a", { offset: 1, length: 2 })).bytes.toString()).toBe("12");
    for await (const { key } of store.list("")) expect(key).toBe("a");
    expect(proxy.requests - before).toBe(5);
  });

  test("sends the token, and an error that repeats it does not show it", async () => {
    proxy.fail(GRANTED);
    store = await openWithCredentials();
    await store.put("a", [Buffer.from("x")], PLAIN);
    let sent: string | undefined;
    const body = (headers: { authorization?: string }) => {
      sent = headers.authorization;
      return `<Error><Code>AccessDenied</Code><Details>refused: ${sent}</Details></Error>`;
    };
    proxy.fail({ kind: "answer", status: 403, body });
    const error = (await store.get("a").catch((thrown: Error) => thrown)) as Error;
    expect(sent).toBe(`Bearer ${TOKEN}`);
    expect(error).toMatchObject({ code: "store_unavailable", retryable: true, message: expect.stringContaining("refused") });
    expect(shownBy(error)).not.toContain("secret");
  });

  test.each([400, 401, 403, 503])(
    "a token service that answers %i is store_unavailable, and no secret shows",
    async (status) => {
      proxy.fail(tokenAnswer(status, { error: "invalid_grant", error_description: "the subject is not trusted" }));
      store = await openWithCredentials();
      for (const call of [store.put("a", [Buffer.from("x")], PLAIN), store.get("a"), store.list("")[Symbol.asyncIterator]().next()]) {
        const error = (await call.catch((thrown: Error) => thrown)) as Error;
        expect(error).toMatchObject({ code: "store_unavailable", retryable: true });
        expect(shownBy(error)).not.toContain("secret");
      }
    },
    60_000,
  );
});

function shownBy(error: Error): string {
  return JSON.stringify([error.message, error.stack, error.cause, String(error.cause), (error.cause as Error | undefined)?.stack]);
}
