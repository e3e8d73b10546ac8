/** Waits for `work`, but no longer than `ms`: throws what `late` makes then. What the work comes to later is not looked at. */
export async function within<T>(ms: number, work: Promise<T>, late: () => Error): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const timer = setTimeout(() => reject(late()), ms);
  work.then(resolve, reject);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

/** Waits for `work`, but no longer than `ms`; true where it ended well by then. */
export async function endsWithin(ms: number, work: Promise<unknown>): Promise<boolean> {
  return within(ms, work, () => new Error("late")).then(
    () => true,
    () => false,
  );
}
