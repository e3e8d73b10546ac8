import type { Broker } from "../../shared/adapters/registry.ts";
import type { ObjectStore } from "../../shared/core/ports/object-store.ts";

/** How the contract suite of brokers gets at an adapter. */
export interface BrokerHarness {
  /** Opens the adapter on nothing: no topic, no subscription. */
  fresh(): Promise<BrokerFixture>;
}

export interface BrokerFixture {
  readonly broker: Broker;
  /** Closes the broker and opens another on the same data. */
  reopen(): Promise<Broker>;
  /** Closes all that was opened and removes the data. */
  dispose(): Promise<void>;
}

/** How the contract suite of stores gets at an adapter. */
export interface StoreHarness {
  /** Opens the adapter on nothing. */
  fresh(): Promise<StoreFixture>;
}

export interface StoreFixture {
  readonly store: ObjectStore;
  reopen(): Promise<ObjectStore>;
  dispose(): Promise<void>;
}

/** Loads the harness of an adapter; fails where the adapter has none. */
export async function loadHarness<T>(kind: "brokers" | "stores", name: string): Promise<T> {
  const url = new URL(`../../shared/adapters/${kind}/${name}/harness.ts`, import.meta.url);
  const module = (await import(/* @vite-ignore */ url.href)) as { harness?: T };
  if (!module.harness) throw new Error(`${kind}/${name}/harness.ts exports no harness`);
  return module.harness;
}
