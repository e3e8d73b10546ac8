import { StoreError } from "../../core/errors.ts";

const MAX_KEY_BYTES = 900;
const CONTROL = /\p{Cc}/u;

/** Why `key` breaks the rules of the port `ObjectStore`; undefined where it keeps them. */
export function keyFault(key: string): string | undefined {
  if (key === "") return "it is empty";
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) return `it is longer than ${MAX_KEY_BYTES} bytes`;
  if (!key.isWellFormed()) return "it is no well-formed text";
  for (const segment of key.split("/")) {
    const fault = segmentFault(segment);
    if (fault) return fault;
  }
  return undefined;
}

/** Why `segment` cannot stand between two slashes of a key; undefined where it can. */
export function segmentFault(segment: string): string | undefined {
  if (segment === "") return "it has an empty segment";
  if (segment === "." || segment === "..") return `it has a segment ${segment}`;
  if (CONTROL.test(segment)) return "it holds a control character";
  return undefined;
}

/** The error for a key that cannot be used. */
export function keyInvalid(key: string, fault: string): StoreError {
  return new StoreError("key_invalid", `using object key ${JSON.stringify(key.slice(0, 200))}: ${fault}; use another key`);
}
