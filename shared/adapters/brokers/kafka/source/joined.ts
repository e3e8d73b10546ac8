/** Joins what is asked for while one run is under way into one more run. */
export interface Joined {
  /** Resolves with a run that began after this call. Throws what that run throws. */
  run(): Promise<void>;
}

export function joined(work: () => Promise<void>): Joined {
  let current: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const start = (): Promise<void> => {
    const started = work().finally(() => {
      if (current === started) current = undefined;
    });
    current = started;
    return started;
  };
  return {
    run() {
      if (!current) return start();
      next ??= current
        .catch(() => undefined)
        .then(() => {
          next = undefined;
          return start();
        });
      return next;
    },
  };
}
