import type { Listener } from "./listener.ts";

/** What goes wrong with connections; each kind by itself, the one asked for last holds. */
export type Outage =
  /** Cuts all connections now, and then every `everyMs` until `forMs` are over. */
  | { kind: "drop-connections"; everyMs: number; forMs: number }
  /** Cuts all connections, and refuses new ones. */
  | { kind: "refuse-connections"; forMs: number }
  /** Takes connections and bytes, and answers nothing. */
  | { kind: "be-silent"; forMs: number };

export interface Outages {
  begin(outage: Outage): Promise<void>;
  /** Ends all that are under way. */
  end(): Promise<void>;
}

/** No outages yet. */
export function createOutages(listener: Listener): Outages {
  const ends = new Map<Outage["kind"], () => Promise<void>>();
  const end = async (kind: Outage["kind"]) => {
    await ends.get(kind)?.();
    ends.delete(kind);
  };
  const start = async ({ kind, ...outage }: Outage): Promise<() => Promise<void>> => {
    if (kind === "refuse-connections") {
      await listener.shut();
      return listener.open;
    }
    if (kind === "be-silent") {
      listener.setSilent(true);
      return async () => listener.setSilent(false);
    }
    listener.dropAll();
    const dropping = setInterval(listener.dropAll, (outage as { everyMs: number }).everyMs);
    return async () => clearInterval(dropping);
  };
  return {
    async begin(outage) {
      await end(outage.kind);
      const stop = await start(outage);
      const timer = setTimeout(() => end(outage.kind), outage.forMs);
      ends.set(outage.kind, async () => {
        clearTimeout(timer);
        await stop();
      });
    },
    async end() {
      for (const kind of [...ends.keys()]) await end(kind);
    },
  };
}
