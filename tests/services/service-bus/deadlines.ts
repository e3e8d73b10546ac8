import { createHeap } from "./heap.ts";

/** Calls back for each item when its time has come. */
export interface Deadlines<T> {
  add(atMs: number, item: T): void;
  /** Forgets all items. */
  clear(): void;
}

/** Node's timers take no longer ones. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** No deadlines yet; one timer serves them all. */
export function createDeadlines<T>(onDue: (item: T) => void): Deadlines<T> {
  let heap = newHeap<T>();
  let timer: NodeJS.Timeout | undefined;
  const arm = () => {
    clearTimeout(timer);
    const next = heap.peek();
    timer = next && setTimeout(fire, Math.min(MAX_DELAY_MS, Math.max(0, next.atMs - Date.now())));
  };
  const fire = () => {
    for (let next = heap.peek(); next && next.atMs <= Date.now(); next = heap.peek()) {
      heap.pop();
      onDue(next.item);
    }
    arm();
  };
  return {
    add(atMs, item) {
      const first = heap.peek();
      heap.push({ atMs, item });
      if (!first || atMs < first.atMs) arm();
    },
    clear() {
      heap = newHeap<T>();
      arm();
    },
  };
}

const newHeap = <T>() => createHeap<{ atMs: number; item: T }>((a, b) => a.atMs < b.atMs);
