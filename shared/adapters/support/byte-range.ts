import { StoreError } from "../../core/errors.ts";
import type { ByteRange } from "../../core/ports/object-store.ts";

/** Throws StoreError `object_corrupt` where `range` is none: it was read from a damaged record. */
export function checkRange(key: string, range: ByteRange | undefined): void {
  const isPosition = (value: number) => Number.isSafeInteger(value) && value >= 0;
  if (!range || (isPosition(range.offset) && isPosition(range.length))) return;
  throw new StoreError(
    "object_corrupt",
    `reading object ${key}: ${range.length} bytes from ${range.offset} is no range; build the index again`,
  );
}
