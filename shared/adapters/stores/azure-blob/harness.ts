import { randomUUID } from "node:crypto";
import { BlobServiceClient } from "@azure/storage-blob";
import type { StoreHarness } from "../../../../tests/contract/support-ports.ts";
import { type Azurite, startAzurite } from "../../../../tests/services/azurite.ts";
import { open } from "./adapter.ts";

let starting: Promise<Azurite> | undefined;

/** For tests only: the server that all fixtures share. */
export function sharedAzurite(): Promise<Azurite> {
  starting ??= startAzurite();
  return starting;
}

/** For tests only: makes a container of its own on a server, and returns its name. */
export async function freshContainer(connectionString: string): Promise<string> {
  const name = `test-${randomUUID()}`;
  await BlobServiceClient.fromConnectionString(connectionString).createContainer(name);
  return name;
}

/** For the contract suite only: a store on a container of its own. */
export const harness: StoreHarness = {
  async fresh() {
    const { connectionString } = await sharedAzurite();
    const settings = { container: await freshContainer(connectionString), connectionString };
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
