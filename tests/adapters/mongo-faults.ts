import { type Collection, type Db, type Document, MongoNetworkError } from "mongodb";
import type { Connection } from "../../shared/adapters/indexes/mongodb/connection.ts";

/** What becomes of a write: `answer lost` is done, but nobody learns of it; after `dies …`, nothing goes through any more. */
export type Fate = "done" | "answer lost" | "dies before" | "dies after";

/** Decides of each write by its number, from 0. */
export type Fates = (write: number) => Fate | Promise<Fate>;

interface State {
  writes: number;
  isDead: boolean;
}

type Method = (...args: unknown[]) => unknown;

const WRITES: readonly (string | symbol)[] = ["bulkWrite", "updateOne", "findOneAndUpdate", "deleteMany"];
const READS: readonly (string | symbol)[] = ["find", "findOne", "aggregate"];

/** A real connection whose writes fail as told; `writes` counts them. `beforeRead` runs before each single document that is read. */
export function faultyConnection(
  connection: Connection,
  fates: Fates,
  beforeRead: () => Promise<void> = async () => undefined,
): Connection & { writes(): number } {
  const state: State = { writes: 0, isDead: false };
  return {
    ...connection,
    writes: () => state.writes,
    async db() {
      const db = await connection.db();
      const collection = (of: string, options: object) => faultyCollection(db.collection(of, options), fates, beforeRead, state);
      return new Proxy<Db>(db, { get: (_, name) => (name === "collection" ? collection : Reflect.get(db, name)) });
    },
  };
}

function faultyCollection(
  collection: Collection<Document>,
  fates: Fates,
  beforeRead: () => Promise<void>,
  state: State,
): Collection<Document> {
  return new Proxy(collection, {
    get(_, name) {
      const method = (Reflect.get(collection, name) as Method).bind(collection);
      if (WRITES.includes(name)) return (...args: unknown[]) => write(() => method(...args), fates, state);
      if (!READS.includes(name)) return method;
      return (...args: unknown[]) => {
        if (state.isDead) throw cut();
        return name === "findOne" ? beforeRead().then(() => method(...args)) : method(...args);
      };
    },
  });
}

async function write(method: () => unknown, fates: Fates, state: State): Promise<unknown> {
  if (state.isDead) throw cut();
  const fate = await fates(state.writes++);
  if (fate === "dies before") state.isDead = true;
  if (state.isDead) throw cut();
  const answer = await method();
  if (fate === "done") return answer;
  if (fate === "dies after") state.isDead = true;
  throw cut();
}

function cut(): MongoNetworkError {
  return new MongoNetworkError("the connection was cut off");
}
