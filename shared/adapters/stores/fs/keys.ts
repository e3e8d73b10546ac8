import { StoreError } from "../../../core/errors.ts";

const MAX_KEY_BYTES = 900;
/** What file systems hold in one name. */
const MAX_SEGMENT_BYTES = 255;
const CONTROL = /\p{Cc}/u;

/** The store's private folder for unfinished writes: no key can lie in it. */
export const TEMP_FOLDER = "%tmp";

/** Why `key` cannot be stored; undefined where it can. */
function faultOf(key: string): string | undefined {
  if (key === "") return "it is empty";
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) return `it is longer than ${MAX_KEY_BYTES} bytes`;
  if (!key.isWellFormed()) return "it is no well-formed text";
  const segments = key.split("/");
  if (segments[0] === TEMP_FOLDER) return `the folder ${TEMP_FOLDER} is the store's own`;
  for (const segment of segments) {
    const fault = segmentFault(segment);
    if (fault) return fault;
  }
  return undefined;
}

function segmentFault(segment: string): string | undefined {
  if (segment === "") return "it has an empty segment";
  if (segment === "." || segment === "..") return `it has a segment ${segment}`;
  if (CONTROL.test(segment)) return "it holds a control character";
  if (Buffer.byteLength(segment) > MAX_SEGMENT_BYTES) return `it has a segment longer than ${MAX_SEGMENT_BYTES} bytes`;
  return undefined;
}

/** Whether a file or folder of this name can be part of a key. */
export function isSegment(name: string): boolean {
  return segmentFault(name) === undefined;
}

/** Throws StoreError `key_invalid` where `key` cannot be stored. */
export function checkKey(key: string): void {
  const fault = faultOf(key);
  if (fault) throw new StoreError("key_invalid", `using object key ${JSON.stringify(key.slice(0, 200))}: ${fault}; use another key`);
}
