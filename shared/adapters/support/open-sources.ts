import type { Source } from "../../core/ports/source.ts";

/** The sources of a broker that are open. */
export interface OpenSources {
  /** The same source, which is forgotten once it is closed. */
  add(source: Source): Source;
  /** Closes those that are open still. */
  close(): Promise<void>;
}

export function createOpenSources(): OpenSources {
  const open = new Set<Source>();
  return {
    add(source) {
      open.add(source);
      const close = async () => {
        await source.close();
        open.delete(source);
      };
      return { ...source, close };
    },
    async close() {
      const ended = await Promise.allSettled([...open].map((source) => source.close()));
      for (const each of ended) if (each.status === "rejected") throw each.reason;
    },
  };
}
