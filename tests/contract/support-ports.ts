import { afterAll, describe, test } from "vitest";
import type { Broker, JobDatabase } from "../../shared/adapters/registry.ts";
import type { MetadataIndex } from "../../shared/core/ports/metadata-index.ts";
import type { ObjectStore } from "../../shared/core/ports/object-store.ts";

/** How a contract suite gets at an adapter. */
export interface Harness<F> {
  /** Why the service that the adapter needs cannot run here; undefined where it can. Absent: it needs none. */
  missing?(): string | undefined;
  /** Opens the adapter on nothing. */
  fresh(): Promise<F>;
  /** Ends what the harness started for all its fixtures. */
  stop?(): Promise<void>;
}

export interface BrokerFixture {
  readonly broker: Broker;
  /** What the adapter or its emulator cannot show, by name, with the reason. */
  readonly gaps?: Readonly<Partial<Record<BrokerGap, string>>>;
  /** The topic to be used. Default `orders`. */
  readonly topic?: string;
  /** How long a message takes at most to reach a receive that waits. Default 50. */
  readonly deliveryMs?: number;
  /** Makes topic and subscription, where the broker does not do so by itself; with `ordered` one that keeps the order of ordering keys. */
  prepare?(topic: string, subscription: string, options?: { ordered: boolean }): Promise<void>;
  /** Closes the broker and opens another on the same data. */
  reopen(): Promise<Broker>;
  /** Closes all that was opened and removes the data. */
  dispose(): Promise<void>;
}

/** What not every broker, or not every emulator of one, can show. */
export type BrokerGap =
  /** Messages without an ordering key come in the order of publication. */
  | "order"
  /** Messages of different ordering keys come in the order of publication. */
  | "order between keys"
  /** Attributes keep their order. */
  | "attribute order"
  /** Publishing tells the ids by which the messages are delivered. */
  | "ids of publications"
  /** The broker adds no system property of its own. */
  | "own properties"
  /** `acknowledge` counts exactly. */
  | "count of acknowledged"
  /** A lost lease settles nothing. */
  | "lost leases"
  /** Leases and delays may be shorter than a second. */
  | "short leases"
  /** What a source has not handed over is free for another one. */
  | "taking ahead"
  /** What a source holds stays its own when it is closed. */
  | "held over a close"
  /** A name has no slash in it. */
  | "names without slashes"
  /** Whoever knows a delivery may settle it. */
  | "settling for another"
  /** Messages have ordering keys. */
  | "ordering keys"
  /** A topic that nobody made is missing. */
  | "missing topics";

export interface StoreFixture {
  readonly store: ObjectStore;
  reopen(): Promise<ObjectStore>;
  dispose(): Promise<void>;
}

export interface IndexFixture {
  /** What an emulator of the database cannot show, by name, with the reason. */
  readonly gaps?: Readonly<Partial<Record<IndexGap, string>>>;
  /** Opens the metadata index; again: another one on the same data. */
  openIndex(): Promise<MetadataIndex>;
  openJobs(): Promise<JobDatabase>;
  /** Removes the data; what was opened is closed before. */
  dispose(): Promise<void>;
}

/** What not every emulator of a database can show: the order of characters up to U+FFFF and past it. */
export type IndexGap = "order past U+FFFF";

export type BrokerHarness = Harness<BrokerFixture>;
export type StoreHarness = Harness<StoreFixture>;
export type IndexHarness = Harness<IndexFixture>;

interface HarnessOf {
  brokers: BrokerHarness;
  stores: StoreHarness;
  indexes: IndexHarness;
}

/** Loads the harness of an adapter; fails where the adapter has none. */
export async function loadHarness<K extends keyof HarnessOf>(kind: K, name: string): Promise<HarnessOf[K]> {
  const url = new URL(`../../shared/adapters/${kind}/${name}/harness.ts`, import.meta.url);
  const module = (await import(/* @vite-ignore */ url.href)) as { harness?: HarnessOf[K] };
  if (!module.harness) throw new Error(`${kind}/${name}/harness.ts exports no harness`);
  return module.harness;
}

/** Runs `suite` for every adapter of a registry; one whose service is missing is skipped with its reason. */
export async function describeAdapters<K extends keyof HarnessOf>(
  title: string,
  kind: K,
  names: readonly string[],
  suite: (harness: HarnessOf[K], name: string) => void,
): Promise<void> {
  for (const name of names) {
    const harness = await loadHarness(kind, name);
    describeWhere(harness.missing?.(), `${title} ${name}`, () => {
      afterAll(() => harness.stop?.());
      suite(harness, name);
    });
  }
}

/** A `describe` that is skipped, with the reason in its title, where `missing` names one; with `REQUIRE_SERVICES=1` that is a failure. */
export function describeWhere(missing: string | undefined, title: string, body: () => void): void {
  if (missing === undefined) describe(title, body);
  else if (process.env.REQUIRE_SERVICES === "1") {
    describe(title, () => {
      test("has the service that it needs", () => {
        throw new Error(missing);
      });
    });
  } else describe.skip(`${title} (skipped: ${missing})`, body);
}
