import { randomUUID } from "node:crypto";
import type { StoreHarness } from "../../../../tests/contract/support-ports.ts";
import { type FakeGcs, fakeGcsMissing, startFakeGcs } from "../../../../tests/services/fake-gcs.ts";
import { open } from "./adapter.ts";

let starting: Promise<FakeGcs> | undefined;

/** For tests only: the server that all fixtures share. */
export function sharedFakeGcs(): Promise<FakeGcs> {
  starting ??= startFakeGcs();
  return starting;
}

/** For tests only: makes a bucket of its own on a server, and returns its name. */
export async function freshBucket(url: string): Promise<string> {
  const name = `test-${randomUUID()}`;
  const response = await fetch(`${url}/storage/v1/b?project=test`, { method: "POST", body: JSON.stringify({ name }) });
  if (!response.ok) throw new Error(`making bucket ${name}: the server answered ${response.status}`);
  return name;
}

/** For the contract suite only: a store on a bucket of its own. */
export const harness: StoreHarness = {
  missing: fakeGcsMissing,
  async fresh() {
    const { url } = await sharedFakeGcs();
    const settings = { bucket: await freshBucket(url), emulatorUrl: url, projectId: "test" };
    const store = await open(settings);
    return {
      store,
      reopen: () => open(settings),
      dispose: () => store.close(),
    };
  },
  async stop() {
    await (await starting)?.stop();
    starting = undefined;
  },
};
