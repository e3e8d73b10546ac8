import type { StoredRecord } from "./stored-record.ts";

/** The version of the record's schema and of the object's layout that this code writes. */
export const FORMAT_VERSION = 1;

/** `formatVersion` of objects that others wrote (the Go original, other tools): readable as whole objects only. */
export const FOREIGN_FORMAT_VERSION = 0;

/** Where a record lies in its object, all in bytes or counts from 0. */
export interface RecordLocation {
  /** Among all records of the object; -1 where a damaged part before it hides how many there were. */
  position: number;
  /** Where its block starts: at the block's count. */
  blockOffset: number;
  /** The block's length up to and with its sync marker. */
  blockLength: number;
  /** Among the records of its block. */
  blockPosition: number;
}

export interface LocatedRecord {
  record: StoredRecord;
  location: RecordLocation;
}
