import { InvalidInput } from "../../../core/errors.ts";
import { type Log, NO_LOG } from "../../../core/ports/log.ts";
import type { OpenedIndex } from "../../registry.ts";
import { adviceOf, createCollections, type KnownCollection, type ServerFindings } from "./collections.ts";
import type { Connection } from "./connection.ts";
import { guarded, isHintRefused, repeatedOnce } from "./errors.ts";
import { createProber } from "./probe.ts";
import { findRecords, getRecords } from "./reading.ts";
import { NO_RECORDS, sumUp } from "./summarizing.ts";
import { upsertRecords } from "./upserting.ts";
import { createWalks } from "./walks.ts";

const MAX_IDS = 10_000;

/** The metadata index on MongoDB's protocol, which also tells what it found out about its server. */
export interface MongodbIndex extends OpenedIndex {
  readonly findings: Readonly<ServerFindings>;
}

type Read<T> = (known: KnownCollection) => Promise<T>;

/** The metadata index of a database; it owns `connection`. Nothing is sent before its first use. */
export function openMetadataIndex(connection: Connection, log: Log = NO_LOG): MongodbIndex {
  const collections = createCollections(connection, log);
  const prober = createProber();
  const walks = createWalks();
  const reading = <T>(action: string, name: string, nothing: T, read: Read<T>, look = collections.known): Promise<T> =>
    guarded(action, "index_unavailable", () =>
      repeatedOnce(async () => {
        const known = await look(name);
        if (!known) return nothing;
        return read(known).catch((error) => {
          if (!isHintRefused(error)) throw error;
          // An index is gone since, or does not answer this: now the server chooses.
          collections.forget(name);
          return read({ ...known, indexes: new Set() });
        });
      }),
    );

  return {
    findings: collections.findings,
    advice: () => adviceOf(collections.findings),
    async upsert(name, records) {
      if (records.length === 0) return { inserted: 0, existed: 0, conflicts: [] };
      return guarded(`upserting ${records.length} records into ${name}`, "index_unavailable", async () =>
        upsertRecords(await repeatedOnce(() => collections.made(name)), records),
      );
    },
    async get(name, ids) {
      if (ids.length > MAX_IDS) throw new InvalidInput(`reading records by id: ${ids.length} ids; at most ${MAX_IDS} a call`);
      return reading(`reading records of ${name}`, name, [], (known) => getRecords(known, ids));
    },
    async find(name, options) {
      if (options.after && options.after.order !== options.order)
        throw new InvalidInput("finding records: the position is one of another order");
      if (options.limit <= 0) return [];
      const look = options.order === "source" ? collections.knownBySource : collections.known;
      return reading(`finding records in ${name}`, name, [], (known) => findRecords(known, options, { prober, walks }), look);
    },
    async summarize(name, filter, bucketMs) {
      const nothing = bucketMs === undefined ? [NO_RECORDS] : [];
      return reading(`summing up records of ${name}`, name, nothing, (known) => sumUp(known, filter, bucketMs, prober));
    },
    async close() {
      await walks.close();
      await guarded("closing the index", "index_unavailable", () => connection.close());
    },
  };
}
