/** What is to be done later, or at once when that is asked for. */
export interface Later {
  after(ms: number, act: () => void): void;
  /** Does all that is still to be done. */
  now(): void;
}

/** Nothing to be done. */
export function createLater(): Later {
  const timers = new Map<() => void, NodeJS.Timeout>();
  return {
    after(ms, act) {
      const once = () => {
        clearTimeout(timers.get(once));
        timers.delete(once);
        act();
      };
      timers.set(once, setTimeout(once, ms));
    },
    now() {
      for (const once of [...timers.keys()]) once();
    },
  };
}
