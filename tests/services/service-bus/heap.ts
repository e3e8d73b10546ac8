/** Items of which the first in order is at hand. */
export interface Heap<T> {
  readonly size: number;
  push(item: T): void;
  peek(): T | undefined;
  pop(): T | undefined;
}

/** An empty heap; what `isBefore` another is taken first. Pushing in order costs no move. */
export function createHeap<T>(isBefore: (a: T, b: T) => boolean): Heap<T> {
  const items: T[] = [];
  const at = (i: number) => items[i] as T;
  const swap = (i: number, j: number) => {
    [items[i], items[j]] = [at(j), at(i)];
  };
  const sink = (from: number) => {
    for (let i = from; ; ) {
      let first = i;
      for (const child of [2 * i + 1, 2 * i + 2]) if (child < items.length && isBefore(at(child), at(first))) first = child;
      if (first === i) return;
      swap(i, first);
      i = first;
    }
  };
  return {
    get size() {
      return items.length;
    },
    push(item) {
      items.push(item);
      for (let i = items.length - 1; i > 0; ) {
        const parent = (i - 1) >> 1;
        if (!isBefore(at(i), at(parent))) return;
        swap(i, parent);
        i = parent;
      }
    },
    peek: () => items[0],
    pop() {
      const first = items[0];
      const last = items.pop();
      if (items.length > 0) {
        items[0] = last as T;
        sink(0);
      }
      return first;
    },
  };
}
