/** The message ids that were seen lately. */
export interface Duplicates {
  /** Whether the id was seen within the window; it is seen now. */
  isKnown(messageId: string | undefined): boolean;
}

/** No ids yet. `windowMs` 0: none is ever known. */
export function createDuplicates(windowMs: number): Duplicates {
  const seenAtMs = new Map<string, number>();
  return {
    isKnown(messageId) {
      if (windowMs === 0 || messageId === undefined) return false;
      const now = Date.now();
      for (const [id, atMs] of seenAtMs) {
        if (atMs > now - windowMs) break;
        seenAtMs.delete(id);
      }
      if (seenAtMs.has(messageId)) return true;
      seenAtMs.set(messageId, now);
      return false;
    },
  };
}
