import { randomUUID } from "node:crypto";
import { type FileHandle, link, mkdir, open, readdir, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { StoreError } from "../../../core/errors.ts";
import type { PutResult } from "../../../core/ports/object-store.ts";
import type { DurableFolders } from "./durable-folders.ts";
import { systemCode } from "./errors.ts";
import { TEMP_FOLDER } from "./keys.ts";

/** A temporary file older than this belongs to a write that was cut off; a younger one may be another process's. */
const STALE_AFTER_MS = 3_600_000;
const PIECES_AT_ONCE = 512;

/** Commits the pieces under `path` unless it exists; when this resolves they survive a crash. Throws what the file system throws, and StoreError. */
export async function writeObject(root: string, folders: DurableFolders, path: string, pieces: readonly Uint8Array[]): Promise<PutResult> {
  const temporary = join(root, TEMP_FOLDER, randomUUID());
  const folder = dirname(path);
  try {
    await writeDurably(temporary, pieces);
    const result = await linkInto(folders, temporary, path);
    await folders.sync(folder);
    return result;
  } finally {
    await unlink(temporary).catch(ignoreMissing);
  }
}

async function writeDurably(path: string, pieces: readonly Uint8Array[]): Promise<void> {
  const handle = await openNew(path);
  try {
    await writeAll(handle, pieces);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes the folder again where it was removed behind our back. */
async function openNew(path: string): Promise<FileHandle> {
  try {
    return await open(path, "wx");
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
    await mkdir(dirname(path), { recursive: true });
    return open(path, "wx");
  }
}

/** Goes on where a write was short, as on a disk that fills up. */
async function writeAll(handle: FileHandle, pieces: readonly Uint8Array[]): Promise<void> {
  let rest = pieces.filter(({ length }) => length > 0);
  while (rest.length > 0) {
    let { bytesWritten } = await handle.writev(rest.slice(0, PIECES_AT_ONCE));
    let whole = 0;
    while (whole < rest.length && bytesWritten >= (rest[whole] as Uint8Array).length) bytesWritten -= (rest[whole++] as Uint8Array).length;
    rest = rest.slice(whole);
    if (bytesWritten > 0) rest[0] = (rest[0] as Uint8Array).subarray(bytesWritten);
  }
}

/** Links, which never overwrites. Of an object that exists, too, the folders are forced to the disk: its writer may have been cut off before. */
async function linkInto(folders: DurableFolders, temporary: string, path: string): Promise<PutResult> {
  for (let attempt = 1; ; attempt++) {
    await makeFolder(folders, path);
    try {
      await link(temporary, path);
      return "created";
    } catch (error) {
      const code = systemCode(error);
      if (code === "EEXIST") return existing(path);
      if (code !== "ENOENT" || attempt > 1) throw error;
      // The folder was removed behind our back.
      folders.forget();
    }
  }
}

async function makeFolder(folders: DurableFolders, path: string): Promise<void> {
  try {
    await folders.make(dirname(path));
  } catch (error) {
    const code = systemCode(error);
    if (code !== "EEXIST" && code !== "ENOTDIR") throw error;
    throw new StoreError("key_invalid", `writing object file ${path}: one of its folders is an object itself; use another key`, {
      cause: error,
    });
  }
}

async function existing(path: string): Promise<PutResult> {
  if ((await stat(path)).isFile()) return "existed";
  throw new StoreError("key_invalid", `writing object file ${path}: other objects' folder has this name; use another key`);
}

/** Makes the folder for unfinished writes, and clears it of those that were cut off. */
export async function prepareTemporaryFolder(root: string): Promise<void> {
  const folder = join(root, TEMP_FOLDER);
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const found = await stat(path).catch(ignoreMissing);
    if (found && Date.now() - found.mtimeMs > STALE_AFTER_MS) await unlink(path).catch(ignoreMissing);
  }
}

function ignoreMissing(error: unknown): undefined {
  if (systemCode(error) !== "ENOENT") throw error;
}
