import { type FileHandle, open } from "node:fs/promises";
import { StoreError } from "../../../core/errors.ts";
import type { ByteRange } from "../../../core/ports/object-store.ts";
import { systemCode } from "./errors.ts";

/** Codes that tell that no object lies there. */
const MISSING = new Set(["ENOENT", "ENOTDIR", "EISDIR", "ELOOP"]);

/** Reads an object's bytes, or those of `range` only. Throws StoreError `object_missing`, or what the file system throws. */
export async function readObject(path: string, key: string, range: ByteRange | undefined): Promise<Buffer> {
  const handle = await openObject(path, key);
  try {
    const found = await handle.stat();
    if (!found.isFile()) throw missing(key);
    const start = Math.min(range?.offset ?? 0, found.size);
    const end = range ? Math.min(start + range.length, found.size) : found.size;
    return await readSpan(handle, start, end);
  } finally {
    await handle.close();
  }
}

async function openObject(path: string, key: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (error) {
    if (MISSING.has(systemCode(error))) throw missing(key, error);
    throw error;
  }
}

function missing(key: string, cause?: unknown): StoreError {
  return new StoreError("object_missing", `reading object ${key}: it does not exist; restore it, or leave its messages out`, { cause });
}

async function readSpan(handle: FileHandle, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(end - start);
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled);
    if (bytesRead === 0) return bytes.subarray(0, filled);
    filled += bytesRead;
  }
  return bytes;
}
