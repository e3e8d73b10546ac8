import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { open as openBroker } from "../../shared/adapters/brokers/embedded/adapter.ts";
import { open as openStore } from "../../shared/adapters/stores/fs/adapter.ts";
import type { Source } from "../../shared/core/ports/source.ts";
import { bytesOfKey, runUntilKilled } from "../contract/support-kills.ts";
import { payloadText } from "../contract/support-messages.ts";

let dataDir: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "killed-"));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

/** All that comes until the backlog is empty, leases of the killed processes included. */
async function drain(source: Source, isEmpty: () => Promise<boolean>): Promise<string[]> {
  const names: string[] = [];
  while (!(await isEmpty())) {
    const deliveries = await source.receive({ maxMessages: 5000, maxBytes: 32_000_000, maxWaitMs: 100 });
    names.push(...deliveries.map(({ message }) => payloadText(message)));
    await source.acknowledge(deliveries);
  }
  return names;
}

test("a broker killed at any moment keeps what it confirmed, brings back what was not settled and nothing that was", async () => {
  const sums = new Map<string, Set<string>>();
  const said = (what: string) => sums.get(what) ?? new Set<string>();
  for (let round = 0; round < 10; round++) {
    const sayings = await runUntilKilled("broker-until-killed.ts", [dataDir, String(round)], Math.random() * 250);
    for (const [what, names] of sayings) sums.set(what, said(what).union(names));
  }
  const broker = await openBroker({}, { dataDir });
  const source = await broker.openSource({ id: "t", topic: "t", subscription: "s" });
  const isEmpty = async () => (await broker.topics())[0]?.subscriptions[0]?.backlog === 0;
  const drained = await drain(source, isEmpty);
  const left = new Set(drained);
  await broker.close();

  expect(said("acknowledged").size).toBeGreaterThan(0);
  expect(drained).toHaveLength(left.size);
  expect([...left.difference(said("try-publish"))]).toEqual([]);
  expect([...left.intersection(said("acknowledged"))]).toEqual([]);
  expect([...said("published").difference(left).difference(said("try-acknowledge"))]).toEqual([]);
});

test("a store killed at any moment keeps every object it confirmed, and never shows a part of one", async () => {
  const stored = new Set<string>();
  for (let round = 0; round < 8; round++) {
    const sayings = await runUntilKilled("store-until-killed.ts", [dataDir, String(round)], Math.random() * 150);
    for (const key of sayings.get("stored") ?? []) stored.add(key);
  }
  const store = await openStore({}, { dataDir });
  const listed = new Set<string>();
  for await (const { key } of store.list("")) {
    listed.add(key);
    const { bytes } = await store.get(key);
    expect(bytes.equals(bytesOfKey(key)), key).toBe(true);
  }
  expect(stored.size).toBeGreaterThan(0);
  expect([...stored.difference(listed)]).toEqual([]);
  expect((await readdir(join(dataDir, "objects"))).every((name) => name === "%tmp" || name.startsWith("round="))).toBe(true);
});
