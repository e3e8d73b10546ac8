import { apiVersionsV0, apiVersionsV3, type Broker, type Connection, type ConnectionOptions, ConnectionPool } from "@platformatic/kafka";
import type { Api, ApiFamily } from "./apis.ts";

/** What is told to brokers of this client. */
const SOFTWARE_NAME = "persistor";
const SOFTWARE_VERSION = "1";

/** Versions of an API that a broker takes. */
interface VersionRange {
  minVersion: number;
  maxVersion: number;
}

/** Connections to brokers, one each, opened at their first use; requests to one broker are answered in their order. */
export interface Connections {
  /** Asks a broker in the newest version that both sides know. Throws the client's errors. */
  ask<A extends readonly unknown[], R>(broker: Broker, family: ApiFamily<A, R>, ...args: A): Promise<R>;
  /** The same where request and answer are read by `call`; `versions` are those known there. */
  call<R>(
    broker: Broker,
    key: number,
    versions: readonly number[],
    call: (connection: Connection, version: number) => Promise<R>,
  ): Promise<R>;
  close(): Promise<void>;
}

/** Opens nothing yet. */
export function createConnections(clientId: string, options: ConnectionOptions): Connections {
  const pool = new ConnectionPool(clientId, options);
  const versions = new WeakMap<Connection, Promise<ReadonlyMap<number, VersionRange>>>();
  // A connection may fail once more after its failure was told; an error that nobody listens to would end the process.
  pool.on("connecting", ({ connection }) => connection.on("error", () => undefined));

  const versionsOf = (connection: Connection) => {
    const known = versions.get(connection) ?? askVersions(connection);
    versions.set(connection, known);
    return known;
  };
  const onConnection = async <R>(broker: Broker, work: (connection: Connection) => Promise<R>): Promise<R> => {
    const connection = await pool.get(broker);
    try {
      return await work(connection);
    } catch (error) {
      // The answer to a request that was given up may still come, and would be taken for that to the next one.
      if (isTimeout(error)) void connection.close();
      throw error;
    }
  };
  return {
    ask: (broker, family, ...args) =>
      onConnection(broker, async (connection) => {
        const range = (await versionsOf(connection)).get(family[0]?.key as number);
        const api = family.find(({ version }) => range && version >= range.minVersion && version <= range.maxVersion);
        if (!api) throw unknownVersion(family[0]?.key as number, range);
        return send(connection, api, args);
      }),
    call: (broker, key, known, call) =>
      onConnection(broker, async (connection) => {
        const range = (await versionsOf(connection)).get(key);
        const version = known.find((candidate) => range && candidate >= range.minVersion && candidate <= range.maxVersion);
        if (version === undefined) throw unknownVersion(key, range);
        return call(connection, version);
      }),
    close: () => pool.close(),
  };
}

function send<A extends readonly unknown[], R>(connection: Connection, api: Api<A, R>, args: A): Promise<R> {
  return new Promise((resolve, reject) => {
    api(connection, ...args, (error, answer) => (error ? reject(error) : resolve(answer as R)));
  });
}

async function askVersions(connection: Connection): Promise<ReadonlyMap<number, VersionRange>> {
  const { apiKeys } = await apiVersionsV3.api
    .async(connection, SOFTWARE_NAME, SOFTWARE_VERSION)
    // Brokers before Kafka 2.4 say which versions of this request itself they know.
    .catch((error: unknown) => {
      if (isTimeout(error)) throw error;
      return apiVersionsV0.api.async(connection, SOFTWARE_NAME, SOFTWARE_VERSION);
    });
  return new Map(apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, { minVersion, maxVersion }]));
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === "Request timed out";
}

/** A broker that is too old or too new for this client. */
export class UnknownVersion extends Error {}

function unknownVersion(key: number, range: VersionRange | undefined): UnknownVersion {
  const known = range ? `versions ${range.minVersion} to ${range.maxVersion}` : "no version";
  return new UnknownVersion(`the broker knows ${known} of API ${key}, and this client none of them`);
}
