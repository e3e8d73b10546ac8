import { randomUUID } from "node:crypto";
import type { IndexFixture, IndexHarness } from "../../../../tests/contract/support-ports.ts";
import { type MongoServer, mongoServerMissing, startMongoServer } from "../../../../tests/services/mongo-server.ts";
import { openIndex, openJobs } from "./adapter.ts";
import { openConnection } from "./connection.ts";

let server: Promise<MongoServer> | undefined;

/** The server that all fixtures of this process share, started at the first call; for tests only. */
export function sharedServer(): Promise<MongoServer> {
  server ??= startMongoServer();
  return server;
}

/** Settings of a database of its own on a server, for tests only; `drop` removes it, after all that was opened there is closed. */
export function freshDatabase(uri: string) {
  const settings = { uri, database: `persistor_${randomUUID().slice(0, 8)}` };
  return {
    settings,
    async drop(): Promise<void> {
      const connection = openConnection(settings);
      try {
        await (await connection.db()).dropDatabase();
      } finally {
        await connection.close();
      }
    },
  };
}

const JAVA_GAPS: IndexFixture["gaps"] = {
  "order past U+FFFF": "mongo-java-server compares texts as Java does, by UTF-16 units; MongoDB's protocol says by UTF-8 bytes",
};

/** For the contract suites only: each fixture has a database of its own. */
export const harness: IndexHarness = {
  missing: mongoServerMissing,
  async fresh() {
    const { uri, kind } = await sharedServer();
    const { settings, drop } = freshDatabase(uri);
    const gaps = kind === "mongo-java-server" ? JAVA_GAPS : undefined;
    return { gaps, openIndex: () => openIndex(settings, { dataDir: "" }), openJobs: () => openJobs(settings), dispose: drop };
  },
  async stop() {
    const started = await server;
    server = undefined;
    await started?.stop();
  },
};
