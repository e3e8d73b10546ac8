/** A span of an object, in bytes. */
export interface ByteRange {
  offset: number;
  length: number;
}

export interface PutOptions {
  contentType: string;
  /** Custom metadata; at most `limits.metadataBytes` of names and values together. */
  metadata?: Readonly<Record<string, string>>;
}

export type PutResult = "created" | "existed";

export interface StoredObject {
  /** The caller's own: it may change them or give their memory back. */
  bytes: Buffer;
  /** The custom metadata given to `put`; empty where there was none. */
  metadata: Readonly<Record<string, string>>;
}

export interface ObjectEntry {
  key: string;
  size: number;
}

/**
 * Durable home of batches. Objects are written once and never changed.
 *
 * Keys are `/`-separated, non-empty segments of text, at most 900 bytes of UTF-8. A key that is empty, absolute, has an empty,
 * `.` or `..` segment, or holds a control character is refused with StoreError `key_invalid`.
 */
export interface ObjectStore {
  readonly limits: { readonly metadataBytes: number };
  /**
   * Commits `bytes` (the pieces in order) under `key` unless it exists; when this resolves, they survive a crash.
   * Throws StoreError: `store_unavailable` (retryable: also a full disk) or `key_invalid`. Nothing half written is ever visible under `key`.
   */
  put(key: string, bytes: readonly Uint8Array[], options: PutOptions): Promise<PutResult>;
  /** Reads `range` of an object, or all of it; a range past the end is cut there. Throws StoreError `object_missing`, `store_unavailable` or `key_invalid`. */
  get(key: string, range?: ByteRange): Promise<StoredObject>;
  /** Keys that start with `prefix`, ascending by UTF-8 bytes, beginning behind `after`. Unfinished writes are not listed. */
  list(prefix: string, after?: string): AsyncIterable<ObjectEntry>;
  close(): Promise<void>;
}
