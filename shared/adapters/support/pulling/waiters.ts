/** Waits that end together. */
export interface Waiters {
  /** Resolves when woken, aborted, or after `ms`. */
  wait(ms: number, signal: AbortSignal | undefined): Promise<void>;
  wake(): void;
}

export function createWaiters(): Waiters {
  const waiting = new Set<() => void>();
  return {
    async wait(ms, signal) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const end = () => resolve();
      const timer = setTimeout(end, ms);
      waiting.add(end);
      signal?.addEventListener("abort", end);
      await promise;
      clearTimeout(timer);
      waiting.delete(end);
      signal?.removeEventListener("abort", end);
    },
    wake() {
      for (const end of waiting) end();
    },
  };
}
