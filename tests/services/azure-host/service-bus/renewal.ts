export interface Renewal {
  /** When the lock ends, in milliseconds since 1970. */
  untilMs: number;
  /** For how long it is renewed; 0: never. */
  maxMs: number;
  /** Renews it; returns until when it holds then. */
  renew(): Promise<number>;
}

/** Renews a lock whenever half of its time is over. Returns what ends that; a renewal that fails ends it too. */
export function renewWhile({ untilMs, maxMs, renew }: Renewal): () => void {
  const deadline = Date.now() + maxMs;
  let timer: NodeJS.Timeout | undefined;
  const plan = (until: number) => {
    const waitMs = Math.max(0, (until - Date.now()) / 2);
    if (Date.now() + waitMs >= deadline) return;
    timer = setTimeout(() => renew().then(plan, () => {}), waitMs);
  };
  plan(untilMs);
  return () => clearTimeout(timer);
}
