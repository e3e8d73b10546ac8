import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlobServiceClient } from "@azure/storage-blob";
import { expect, test } from "vitest";
import { open } from "../../shared/adapters/stores/azure-blob/adapter.ts";
import { freshContainer } from "../../shared/adapters/stores/azure-blob/harness.ts";
import { runUntilKilled } from "../contract/support-kills.ts";
import { startAzurite } from "../services/azurite.ts";
import { largeBytesOfKey } from "./azure-blob-support.ts";

const PLAIN = { contentType: "text/plain" };
const ROUNDS = 4;

test("a writer killed at any moment leaves every object that it confirmed, and never shows a part of one", async () => {
  const azurite = await startAzurite();
  const settings = { connectionString: azurite.connectionString, container: await freshContainer(azurite.connectionString) };
  const stored: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const args = [JSON.stringify(settings), String(round)];
    const sayings = await runUntilKilled("azure-blob-until-killed.ts", args, 150 + Math.random() * 300);
    stored.push(...(sayings.get("stored") ?? []));
  }
  const store = await open(settings);
  const listed = (await Array.fromAsync(store.list(""))).map(({ key }) => key);
  for (const key of listed) expect((await store.get(key)).bytes.equals(largeBytesOfKey(key))).toBe(true);
  expect(stored.filter((key) => !listed.includes(key))).toEqual([]);
  // Of each round at most the last one was committed, and not confirmed any more.
  expect(listed.length - stored.length).toBeLessThanOrEqual(ROUNDS);

  const container = BlobServiceClient.fromConnectionString(azurite.connectionString).getContainerClient(settings.container);
  const all = await Array.fromAsync(container.listBlobsFlat({ includeUncommitedBlobs: true }));
  for (const key of all.map(({ name }) => name).filter((name) => !listed.includes(name))) {
    await expect(store.get(key)).rejects.toMatchObject({ code: "object_missing" });
    expect(await store.put(key, [largeBytesOfKey(key)], PLAIN)).toBe("created");
    expect((await store.get(key)).bytes.equals(largeBytesOfKey(key))).toBe(true);
  }
  await store.close();
  await azurite.stop();
});

test("a store goes on once its server is back", async () => {
  const folder = await mkdtemp(join(tmpdir(), "azurite-"));
  const first = await startAzurite({ folder });
  const { connectionString, port, key } = first;
  const store = await open({ connectionString, container: await freshContainer(connectionString) });
  const id = randomUUID();
  expect(await store.put(id, [Buffer.from("x")], PLAIN)).toBe("created");
  await first.terminate();
  await expect(store.put("b", [Buffer.from("x")], PLAIN)).rejects.toMatchObject({ code: "store_unavailable", retryable: true });
  const second = await startAzurite({ folder, port, key });
  expect(await store.put(id, [Buffer.from("y")], PLAIN)).toBe("existed");
  expect((await store.get(id)).bytes.toString()).toBe("x");
  expect(await store.put("b", [Buffer.from("x")], PLAIN)).toBe("created");
  await store.close();
  await second.stop();
  await rm(folder, { recursive: true, force: true });
});
