import { createHash, randomBytes } from "node:crypto";

const KEY_BYTES = 32;

/** A new API key of 256 random bits for the caller `id`: the key itself, which is stored nowhere, and its hash for the settings. */
export function newApiKey(id: string): { key: string; sha256: string } {
  const key = `psk_${id}_${randomBytes(KEY_BYTES).toString("base64url")}`;
  return { key, sha256: hashOfKey(key).toString("hex") };
}

/** SHA-256 of a key as shown by a caller. A key has 256 random bits, so a plain hash of it cannot be searched. */
export function hashOfKey(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}
