/** Opens at the first call of each first argument and shares what was opened; an opening that failed is forgotten, so that the next call tries again. */
export function openedOnce<A extends readonly unknown[], T>(open: (...args: A) => Promise<T>): (...args: A) => Promise<T> {
  const opening = new Map<unknown, Promise<T>>();
  return (...args) => {
    const [key] = args;
    const found = opening.get(key);
    if (found) return found;
    const made = open(...args);
    opening.set(key, made);
    made.catch(() => opening.delete(key));
    return made;
  };
}
