import { StoreError } from "../errors.ts";

/** The error for stored bytes that cannot be what was written: StoreError `object_corrupt`, never worth a retry. */
export function corrupt(detail: string, cause?: unknown): StoreError {
  return new StoreError("object_corrupt", `reading stored Avro data: ${detail}; restore the object from a copy`, { cause });
}
