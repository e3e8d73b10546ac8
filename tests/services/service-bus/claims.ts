/** What a connection may do: the tokens that its client has put, each for a path and all below it. */
export interface Claims {
  /** `path`: of the audience, without a host. */
  grant(path: string, expiresAtMs: number): void;
  /** Whether a token covers an address now. */
  cover(address: string): boolean;
  /** Whether any token holds now. */
  any(): boolean;
  /** No token matters any more. */
  end(): void;
}

/** No claims yet. `onExpired` is called when a token has expired that none has renewed. */
export function createClaims(onExpired: () => void): Claims {
  const untilMs = new Map<string, { atMs: number; timer: NodeJS.Timeout }>();
  return {
    grant(path, expiresAtMs) {
      clearTimeout(untilMs.get(path)?.timer);
      const timer = setTimeout(onExpired, Math.min(2 ** 31 - 1, Math.max(0, expiresAtMs - Date.now()))).unref();
      untilMs.set(path, { atMs: expiresAtMs, timer });
    },
    cover(address) {
      const wanted = `${address.toLowerCase()}/`;
      for (const [path, { atMs }] of untilMs) {
        if (atMs > Date.now() && (path === "" || wanted.startsWith(`${path}/`))) return true;
      }
      return false;
    },
    any: () => untilMs.values().some(({ atMs }) => atMs > Date.now()),
    end() {
      for (const { timer } of untilMs.values()) clearTimeout(timer);
      untilMs.clear();
    },
  };
}
