/** How many pushes may be in flight. */
export interface PushWindow {
  size(): number;
  /** Tells how a push went. */
  note(wasAcknowledged: boolean, tookMs: number): void;
}

const FIRST_SIZE = 10;
/** Pub/Sub widens its window only while answers come within a second. */
const QUICK_MS = 1_000;

/** Always `size`. */
export const fixedWindow = (size: number): PushWindow => ({ size: () => size, note: () => undefined });

/**
 * Begins small, doubles with each round of good and quick answers, up to `most`, and halves at a bad or slow one, once a round: as Pub/Sub
 * describes its own (https://cloud.google.com/pubsub/docs/push#push_backoff).
 */
export function adaptiveWindow(most: number): PushWindow {
  let size = Math.min(FIRST_SIZE, most);
  let answersUntilNextCut = 0;
  return {
    size: () => Math.floor(size),
    note(wasAcknowledged, tookMs) {
      answersUntilNextCut--;
      if (wasAcknowledged && tookMs < QUICK_MS) {
        size = Math.min(most, size + 1);
      } else if (answersUntilNextCut <= 0) {
        answersUntilNextCut = Math.floor(size);
        size = Math.max(1, size / 2);
      }
    },
  };
}
