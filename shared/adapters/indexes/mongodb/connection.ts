import { type Db, MongoClient, type MongoClientOptions } from "mongodb";
import type * as z from "zod";
import { IndexError } from "../../../core/errors.ts";
import type { mongodbSettings } from "./settings.ts";

export type MongodbSettings = z.infer<typeof mongodbSettings>;

/** One user's hold on the process's client of a server. */
export interface Connection {
  readonly databaseName: string;
  /** The database; connects first where nothing is connected. Throws the driver's own errors: see `databaseError`. A failed attempt is not remembered. */
  db(): Promise<Db>;
  /** Lets go of the client, which ends with its last user; once or again. */
  close(): Promise<void>;
}

/** What holds where the URI does not say otherwise: options given beside a URI would win over it. */
const DEFAULTS = {
  appName: "persistor",
  // A function has to answer within its own limit, so that a server that is away is told in time.
  serverSelectionTimeoutMS: 5000,
  connectTimeoutMS: 5000,
  // Clouds drop idle connections without a word after some minutes.
  maxIdleTimeMS: 120_000,
  maxPoolSize: 20,
  w: "majority",
} satisfies MongoClientOptions;

interface SharedClient {
  client: MongoClient;
  users: number;
}

const clients = new Map<string, SharedClient>();

/** Takes hold of the client of `settings.uri`, made unless this process has one; nothing is sent before `db` is called. Throws IndexError `settings_invalid`. */
export function openConnection({ uri, database }: MongodbSettings): Connection {
  const shared = clients.get(uri) ?? { client: clientOf(uri), users: 0 };
  clients.set(uri, shared);
  shared.users++;
  let isOpen = true;
  return {
    databaseName: database,
    async db() {
      if (!isOpen) throw new Error("the connection is closed");
      // A client that is connected already answers at once; one whose attempt failed tries again.
      await shared.client.connect();
      return shared.client.db(database);
    },
    async close() {
      if (!isOpen) return;
      isOpen = false;
      if (--shared.users > 0) return;
      clients.delete(uri);
      await shared.client.close();
    },
  };
}

/** The driver's text of a URI that it cannot read may quote parts of it, the password among them. */
function clientOf(uri: string): MongoClient {
  try {
    return new MongoClient(uri, { ...unlessGiven(uri), ignoreUndefined: true });
  } catch {
    throw new IndexError(
      "settings_invalid",
      "opening the index: PERSISTOR_MONGODB_URI is no valid connection string; write it as mongodb://user:password@host:port/?option=value, with %-encoded user and password",
    );
  }
}

function unlessGiven(uri: string): MongoClientOptions {
  const given = new Set([...uri.matchAll(/[?&]([A-Za-z]+)=/g)].map(([, name = ""]) => name.toLowerCase()));
  return Object.fromEntries(Object.entries(DEFAULTS).filter(([name]) => !given.has(name.toLowerCase())));
}
