import { keyFault, keyInvalid, segmentFault } from "../../support/object-key.ts";

/** What file systems hold in one name. */
const MAX_SEGMENT_BYTES = 255;

/** The store's private folder for unfinished writes: no key can lie in it. */
export const TEMP_FOLDER = "%tmp";

/** Why `key` cannot be stored in files; undefined where it can. */
function faultOf(key: string): string | undefined {
  const fault = keyFault(key);
  if (fault) return fault;
  const segments = key.split("/");
  if (segments[0] === TEMP_FOLDER) return `the folder ${TEMP_FOLDER} is the store's own`;
  if (!segments.every(fitsFile)) return `it has a segment longer than ${MAX_SEGMENT_BYTES} bytes`;
  return undefined;
}

function fitsFile(segment: string): boolean {
  return Buffer.byteLength(segment) <= MAX_SEGMENT_BYTES;
}

/** Whether a file or folder of this name can be part of a key. */
export function isSegment(name: string): boolean {
  return segmentFault(name) === undefined && fitsFile(name);
}

/** Throws StoreError `key_invalid` where `key` cannot be stored. */
export function checkKey(key: string): void {
  const fault = faultOf(key);
  if (fault) throw keyInvalid(key, fault);
}
