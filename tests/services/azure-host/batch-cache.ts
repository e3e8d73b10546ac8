/** Holds items back until there are enough for a batch (azure-sdk-for-net ServiceBusMessageManager, PartitionProcessorEventsManager). */
export interface BatchCache<T> {
  /** Adds items; returns a batch, or nothing where there are fewer than the minimum. */
  add(items: readonly T[]): T[];
  /** Returns what is held, up to the maximum, however little. */
  takePartial(): T[];
  readonly size: number;
}

export function createBatchCache<T>(min: number, max: number): BatchCache<T> {
  const held: T[] = [];
  return {
    add(items) {
      held.push(...items);
      return held.length < min ? [] : held.splice(0, max);
    },
    takePartial: () => held.splice(0, max),
    get size() {
      return held.length;
    },
  };
}
