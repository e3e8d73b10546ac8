import { BlobServiceClient } from "@azure/storage-blob";
import { afterAll, afterEach, beforeEach, expect, it } from "vitest";
import { freshContainer, harness, sharedAzurite } from "../../shared/adapters/stores/azure-blob/harness.ts";
import { openHost, pipelinesOf, type TestHost } from "../fixtures/host.ts";

const MESSAGES = 250;
let host: TestHost;
let blobNames: () => Promise<string[]>;

beforeEach(async () => {
  const { connectionString } = await sharedAzurite();
  const container = await freshContainer(connectionString);
  const client = BlobServiceClient.fromConnectionString(connectionString).getContainerClient(container);
  blobNames = async () => (await Array.fromAsync(client.listBlobsFlat())).map(({ name }) => name);
  host = await openHost({
    PERSISTOR_AZURE_STORAGE: connectionString,
    PERSISTOR_STORES: JSON.stringify({ local: { kind: "fs" }, lake: { kind: "azure-blob", container } }),
    PERSISTOR_PIPELINES: pipelinesOf({
      orders: { store: { name: "lake", path: "{topic}/{attribute:type}" } },
      letters: { store: { kind: "azure-blob", container, prefix: "raw", path: "{topic}", format: "raw" } },
      again: { store: { name: "lake", path: "{topic}" } },
    }),
  });
});
afterEach(() => host.dispose());
afterAll(() => harness.stop?.());

it("what a pipeline persists to Azure Blob Storage is found, sent again from there, and verified identical", async () => {
  const messageOf = (i: number) => ({
    text: `message ${i}`,
    attributes: { type: i % 2 ? "odd." : "even", Größe: String(i), number: String(i) },
  });
  const messages = Array.from({ length: MESSAGES }, (_, i) => messageOf(i));
  await host.feed("orders", messages);
  await host.feed("letters", messages.slice(0, 20));
  const names = await blobNames();
  expect(names.filter((name) => name.startsWith("orders/even/")).length).toBeGreaterThan(0);
  expect(names.filter((name) => name.startsWith("orders/odd. 0/")).length).toBeGreaterThan(0);
  expect(names.filter((name) => name.startsWith("raw/letters/"))).toHaveLength(20);

  const filter = { filters: [{ "additional_metadata.number": { $gte: 0 } }] };
  for (const [collection, count] of [
    ["orders", MESSAGES],
    ["letters", 20],
  ] as const) {
    const { status, body } = await host.call("POST", `/resubmitter/query/${collection}?topic=again`, filter);
    expect([status, body.summary]).toEqual([
      200,
      expect.objectContaining({ indexed_count: count, published_count: count, verified_count: count }),
    ]);
  }
  const indexed = async () => (await host.call("POST", "/indexer/query/again?count=true&limit=1", { filters: [{}] })).body.total_count;
  await expect.poll(indexed, { timeout: 20_000 }).toBe(MESSAGES + 20);
});

it("what a pipeline persisted to Azure Blob Storage is all that its index tells of, and the other way round", async () => {
  const types = ["a", "a.", "a-b", "a/b"];
  await host.feed(
    "orders",
    Array.from({ length: 60 }, (_, i) => ({ text: `${i}`, attributes: { type: types[i % types.length] } })),
  );
  const { headers } = await host.call("POST", "/admin/maintenance", { kind: "audit", pipeline: "orders" });
  const job = async () => (await host.call("GET", headers.get("location") as string)).body;
  await expect.poll(async () => (await job()).state).toBe("succeeded");
  expect((await job()).progress).toMatchObject({ records: 60, indexed: 60, missing_in_index: 0, missing_in_store: 0, findings: [] });
});
