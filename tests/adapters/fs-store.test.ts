import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { type FileHandle, mkdtemp, open as openFile, readdir, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { open } from "../../shared/adapters/stores/fs/adapter.ts";
import type { ObjectStore } from "../../shared/core/ports/object-store.ts";
import { mountSmallDisk } from "../contract/support-disk.ts";

const PLAIN = { contentType: "text/plain" };
let dataDir: string;
const cleanUps: (() => unknown)[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "fs-store-"));
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
  await rm(dataDir, { recursive: true, force: true });
});

async function keysOf(store: ObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list("")) keys.push(key);
  return keys;
}

test("an object is a plain file under the folder of the settings", async () => {
  const dir = join(dataDir, "lake/raw");
  const store = await open({ dir }, { dataDir: "/nowhere" });
  await store.put("orders/2024/a.avro", [Buffer.from("abc")], PLAIN);
  expect((await stat(join(dir, "orders/2024/a.avro"))).size).toBe(3);
  expect(await readdir(join(dir, "%tmp"))).toEqual([]);
});

test("unknown and wrong settings are refused by name", async () => {
  await expect(open({ dri: "x" }, { dataDir })).rejects.toMatchObject({
    code: "settings_invalid",
    message: expect.stringContaining("dri"),
  });
  await expect(open({ dir: 7 }, { dataDir })).rejects.toMatchObject({ code: "settings_invalid", message: expect.stringContaining("dir") });
});

test("a key that lies in another key's object, and one that is a folder of others, are refused", async () => {
  const store = await open({}, { dataDir });
  await store.put("a", [Buffer.from("x")], PLAIN);
  await expect(store.put("a/b", [Buffer.from("y")], PLAIN)).rejects.toMatchObject({ code: "key_invalid", retryable: false });
  await expect(store.put("a/b/c", [Buffer.from("y")], PLAIN)).rejects.toMatchObject({ code: "key_invalid" });
  await store.put("folder/x", [Buffer.from("x")], PLAIN);
  await expect(store.put("folder", [Buffer.from("y")], PLAIN)).rejects.toMatchObject({ code: "key_invalid" });
  expect(await keysOf(store)).toEqual(["a", "folder/x"]);
  expect(await readdir(join(dataDir, "objects/%tmp"))).toEqual([]);
});

test("segments that no file system holds, and the store's private folder, are refused with the reason", async () => {
  const store = await open({}, { dataDir });
  await expect(store.put(`a/${"ü".repeat(128)}`, [], PLAIN)).rejects.toMatchObject({
    code: "key_invalid",
    message: expect.stringContaining("255"),
  });
  await expect(store.put("%tmp/x", [], PLAIN)).rejects.toMatchObject({ code: "key_invalid", message: expect.stringContaining("own") });
  expect(await store.put(`a/${"ü".repeat(127)}x`, [], PLAIN)).toBe("created");
  expect(await store.put("a/%tmp/x", [], PLAIN)).toBe("created");
});

test("opening clears unfinished writes of long ago and leaves younger ones to their writers", async () => {
  await open({}, { dataDir });
  const temporary = join(dataDir, "objects/%tmp");
  await writeFile(join(temporary, "old"), "x");
  await writeFile(join(temporary, "young"), "x");
  const longAgo = new Date(Date.now() - 2 * 3_600_000);
  await utimes(join(temporary, "old"), longAgo, longAgo);
  const store = await open({}, { dataDir });
  expect(await readdir(temporary)).toEqual(["young"]);
  expect(await keysOf(store)).toEqual([]);
});

test("a folder removed behind its back is made again", async () => {
  const store = await open({}, { dataDir });
  await store.put("a/b/one", [Buffer.from("1")], PLAIN);
  await rm(join(dataDir, "objects/a"), { recursive: true });
  expect(await store.put("a/b/two", [Buffer.from("2")], PLAIN)).toBe("created");
  await rm(join(dataDir, "objects"), { recursive: true });
  expect(await store.put("a/b/three", [Buffer.from("3")], PLAIN)).toBe("created");
  expect(await keysOf(store)).toEqual(["a/b/three"]);
});

test("a list leaves out what is no object: links and names that no key can have", async () => {
  const store = await open({}, { dataDir });
  await store.put("a", [Buffer.from("x")], PLAIN);
  await symlink("/etc", join(dataDir, "objects/link"));
  await writeFile(join(dataDir, "objects/b\nc"), "x");
  expect(await keysOf(store)).toEqual(["a"]);
});

test("a folder of 45,000 objects lists whole and in order, and goes on behind any of them", async () => {
  const store = await open({}, { dataDir });
  const folder = join(dataDir, "objects/many");
  mkdirSync(folder);
  const script = "const fs=require('fs');for(let i=0;i<45000;i++)fs.closeSync(fs.openSync(process.argv[1]+'/'+(i*7919)%45000,'w'))";
  execFileSync(process.execPath, ["-e", script, folder]);
  const expected = Array.from({ length: 45_000 }, (_, i) => `many/${i}`).sort();
  let seen = 0;
  for await (const { key } of store.list("many/")) expect(key === expected[seen++]).toBe(true);
  expect(seen).toBe(45_000);
  const behind: string[] = [];
  for await (const { key } of store.list("many/", expected[44_990])) behind.push(key);
  expect(behind).toEqual(expected.slice(44_991));
});

/** Without the right to mount: the write fails as it would on a full disk, once half of it is done. */
async function failWritesOnce(): Promise<void> {
  const probe = await openFile(dataDir, "r");
  const prototype = Object.getPrototypeOf(probe) as FileHandle;
  await probe.close();
  vi.spyOn(prototype, "writev").mockImplementationOnce(async () => {
    throw Object.assign(new Error("ENOSPC: no space left on device, writev"), { code: "ENOSPC" });
  });
}

test("a full disk leaves nothing behind, is retryable, and the write succeeds once there is space", async () => {
  const dir = join(dataDir, "small");
  const unmount = mountSmallDisk(dir, 1);
  if (unmount) cleanUps.push(unmount);
  const store = await open({ dir }, { dataDir });
  const pieces = [Buffer.alloc(600_000, "x"), Buffer.alloc(300_000, "y")];
  if (unmount) await writeFile(join(dir, "filler"), Buffer.alloc(500_000));
  else await failWritesOnce();
  await expect(store.put("orders/a", pieces, PLAIN)).rejects.toMatchObject({
    code: "store_unavailable",
    retryable: true,
    message: expect.stringContaining("full"),
  });
  await rm(join(dir, "filler"), { force: true });
  expect(await keysOf(store)).toEqual([]);
  expect(await readdir(join(dir, "%tmp"))).toEqual([]);
  expect(await store.put("orders/a", pieces, PLAIN)).toBe("created");
  expect((await store.get("orders/a")).bytes.equals(Buffer.concat(pieces))).toBe(true);
});
