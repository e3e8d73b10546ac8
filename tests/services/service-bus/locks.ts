/** What is locked, each for the same time from its locking or its last renewal on. */
export interface Locks<T> {
  readonly size: number;
  /** Locks; returns until when. */
  hold(key: string, item: T): number;
  get(key: string): T | undefined;
  /** Locks anew; undefined where the lock is lost. */
  renew(key: string): number | undefined;
  /** Gives the lock up and returns what it held; undefined where it is lost. */
  release(key: string): T | undefined;
  /** Lets all locks expire now; returns how many. */
  expireAll(): number;
}

/** No locks yet. `lockMs` may be Infinity. */
export function createLocks<T>(lockMs: number, onExpired: (item: T, key: string) => void): Locks<T> {
  // All last equally long: the order of locking is the order of expiry.
  const held = new Map<string, { item: T; untilMs: number }>();
  let timer: NodeJS.Timeout | undefined;
  const arm = () => {
    const [first] = held.values();
    timer = first && Number.isFinite(lockMs) ? setTimeout(expire, Math.max(1, first.untilMs - Date.now())) : undefined;
  };
  const expire = () => {
    for (const [key, { item, untilMs }] of held) {
      if (untilMs > Date.now()) break;
      held.delete(key);
      onExpired(item, key);
    }
    arm();
  };
  const hold = (key: string, item: T) => {
    const untilMs = Date.now() + lockMs;
    held.delete(key);
    held.set(key, { item, untilMs });
    if (!timer) arm();
    return untilMs;
  };
  return {
    get size() {
      return held.size;
    },
    hold,
    get: (key) => held.get(key)?.item,
    renew(key) {
      const lock = held.get(key);
      return lock && hold(key, lock.item);
    },
    release(key) {
      const lock = held.get(key);
      held.delete(key);
      return lock?.item;
    },
    expireAll() {
      const all = [...held];
      held.clear();
      for (const [key, { item }] of all) onExpired(item, key);
      return all.length;
    },
  };
}
