import { open } from "../../shared/adapters/stores/gcs/adapter.ts";
import { freshBucket, sharedFakeGcs } from "../../shared/adapters/stores/gcs/harness.ts";
import type { ObjectStore } from "../../shared/core/ports/object-store.ts";
import { type FaultProxy, startFaultProxy } from "../services/fault-proxy.ts";

/** A store on a bucket of its own, whose requests go through a proxy that counts and fails them. */
export interface ProxiedStore {
  readonly store: ObjectStore;
  readonly proxy: FaultProxy;
  readonly bucket: string;
  /** The server behind the proxy. */
  readonly serverUrl: string;
  /** Opens another store, on another URL, bucket or patience; closed with the rest. */
  openOn(url: string, options?: { bucket?: string; idleTimeoutMs?: number }): Promise<ObjectStore>;
  /** How many requests `work` makes. */
  requestsOf(work: () => Promise<unknown>): Promise<number>;
  keysOf(prefix?: string, after?: string): Promise<string[]>;
  close(): Promise<void>;
}

export async function openProxied(): Promise<ProxiedStore> {
  const { url: serverUrl } = await sharedFakeGcs();
  const proxy = await startFaultProxy(serverUrl);
  const bucket = await freshBucket(serverUrl);
  const opened: ObjectStore[] = [];
  const openOn: ProxiedStore["openOn"] = async (emulatorUrl, options = {}) => {
    const settings = { bucket: options.bucket ?? bucket, emulatorUrl, projectId: "test-project" };
    const store = await open(settings, undefined, { idleTimeoutMs: options.idleTimeoutMs });
    opened.push(store);
    return store;
  };
  const store = await openOn(proxy.url);
  return {
    store,
    proxy,
    bucket,
    serverUrl,
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
