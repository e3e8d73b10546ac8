import { BlobServiceClient, type ContainerClient } from "@azure/storage-blob";
import { open } from "../../shared/adapters/stores/azure-blob/adapter.ts";
import { freshContainer, sharedAzurite } from "../../shared/adapters/stores/azure-blob/harness.ts";
import type { ObjectStore } from "../../shared/core/ports/object-store.ts";
import { bytesOfKey } from "../contract/support-kills.ts";
import { connectionStringOf } from "../services/azurite.ts";
import { type FaultProxy, startFaultProxy } from "../services/fault-proxy.ts";

/** A store on a container of its own, whose requests go through a proxy that counts and fails them. */
export interface ProxiedStore {
  readonly store: ObjectStore;
  readonly proxy: FaultProxy;
  readonly container: string;
  /** The container without the proxy, as another program sees it. */
  readonly direct: ContainerClient;
  /** By way of the proxy. */
  readonly connectionString: string;
  /** Opens another store, with another connection, container or patience; closed with the rest. */
  openOn(options?: { connectionString?: string; container?: string; idleTimeoutMs?: number }): Promise<ObjectStore>;
  /** How many requests `work` makes. */
  requestsOf(work: () => Promise<unknown>): Promise<number>;
  keysOf(prefix?: string, after?: string): Promise<string[]>;
  close(): Promise<void>;
}

export async function openProxied(): Promise<ProxiedStore> {
  const { account, key, origin, connectionString: directly } = await sharedAzurite();
  const proxy = await startFaultProxy(origin);
  const container = await freshContainer(directly);
  const connectionString = connectionStringOf({ account, key, url: `${proxy.url}/${account}` });
  const opened: ObjectStore[] = [];
  const openOn: ProxiedStore["openOn"] = async (options = {}) => {
    const settings = { container: options.container ?? container, connectionString: options.connectionString ?? connectionString };
    const store = await open(settings, undefined, { idleTimeoutMs: options.idleTimeoutMs });
    opened.push(store);
    return store;
  };
  const store = await openOn();
  return {
    store,
    proxy,
    container,
    direct: BlobServiceClient.fromConnectionString(directly).getContainerClient(container),
    connectionString,
    openOn,
    async requestsOf(work) {
      const before = proxy.requests;
      await work();
      return proxy.requests - before;
    },
    async keysOf(prefix = "", after) {
      const keys: string[] = [];
      for await (const { key } of store.list(prefix, after)) keys.push(key);
      return keys;
    },
    async close() {
      for (const each of opened) await each.close();
      await proxy.close();
    },
  };
}

/** The bytes that an object of this key holds in the kill test: enough to be written by blocks. */
export function largeBytesOfKey(key: string): Buffer {
  return Buffer.concat([bytesOfKey(key), Buffer.alloc(17 * 1024 * 1024, `${key};`)]);
}
