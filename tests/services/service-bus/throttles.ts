/** Spreads messages over time. */
export interface Throttle {
  readonly messagesPerS: number;
  /** When the next message may go. */
  freeAtMs: number;
}

/** Books messages; returns how long the last of them has to wait. */
export function book(throttle: Throttle, count: number): number {
  throttle.freeAtMs = Math.max(Date.now(), throttle.freeAtMs) + (count * 1000) / throttle.messagesPerS;
  return throttle.freeAtMs - Date.now();
}

/** Who waits for a throttle to let the next message go. */
export interface Resuming {
  /** Whether a message of an entity may go now, which is booked; where not, the entity is resumed when one may. */
  mayGo(entity: string, throttle: Throttle | undefined): boolean;
  /** Resumes all that wait. */
  now(): void;
}

/** Nobody waits yet. */
export function createResuming(resume: (entity: string) => void): Resuming {
  const waiting = new Set<string>();
  return {
    mayGo(entity, throttle) {
      if (!throttle) return true;
      const lateMs = throttle.freeAtMs - Date.now();
      if (lateMs <= 0) {
        book(throttle, 1);
        return true;
      }
      if (!waiting.has(entity)) {
        waiting.add(entity);
        setTimeout(() => waiting.delete(entity) && resume(entity), lateMs);
      }
      return false;
    },
    now() {
      const all = [...waiting];
      waiting.clear();
      for (const entity of all) resume(entity);
    },
  };
}
