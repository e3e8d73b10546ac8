import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MongoClient } from "mongodb";
import { freePort, type Service, startService } from "./child.ts";
import { isOnPath, MONGO_JARS } from "./programs.ts";

/** A server that speaks MongoDB's protocol. */
export interface MongoServer extends Pick<Service, "stop"> {
  uri: string;
  /** `given`: by `MONGODB_URI`; `mongod`: MongoDB itself; `mongo-java-server`: in memory, uses and explains no indexes. */
  kind: "given" | "mongod" | "mongo-java-server";
}

/** Why no such server can run here; undefined where one can. */
export function mongoServerMissing(): string | undefined {
  if (process.env.MONGODB_URI || isOnPath("mongod")) return undefined;
  if (!isOnPath("java")) return "MongoDB's protocol needs MONGODB_URI, or mongod or java on PATH";
  if (existsSync(MONGO_JARS)) return undefined;
  return isOnPath("mvn") ? "mongo-java-server could not be fetched by mvn" : "mongo-java-server needs mvn on PATH, once, to be fetched";
}

/** The server that `MONGODB_URI` names, else a `mongod`, else mongo-java-server, on a free port or on `port`. */
export async function startMongoServer({ port }: { port?: number } = {}): Promise<MongoServer> {
  const given = process.env.MONGODB_URI;
  if (given && port === undefined) return { uri: given, kind: "given", stop: async () => undefined };
  const at = port ?? (await freePort());
  const uri = `mongodb://127.0.0.1:${at}/?directConnection=true`;
  if (isOnPath("mongod")) return startMongod(at, uri);
  const launcher = fileURLToPath(new URL("./mongo/Launcher.java", import.meta.url));
  const service = await startService({
    name: "mongo-java-server",
    command: "java",
    args: ["-Xmx2g", "-cp", join(MONGO_JARS, "*"), launcher, String(at)],
    isReady: () => isAnswering(uri),
  });
  return { uri, kind: "mongo-java-server", stop: service.stop };
}

async function startMongod(port: number, uri: string): Promise<MongoServer> {
  const folder = mkdtempSync(join(tmpdir(), "persistor-mongod-"));
  const service = await startService({
    name: "mongod",
    command: "mongod",
    args: ["--dbpath", folder, "--port", String(port), "--bind_ip", "127.0.0.1", "--nounixsocket"],
    isReady: () => isAnswering(uri),
  });
  return {
    uri,
    kind: "mongod",
    async stop() {
      await service.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function isAnswering(uri: string): Promise<boolean> {
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: 300, connectTimeoutMS: 300 });
  try {
    await client.db("admin").command({ ping: 1 });
    return true;
  } finally {
    await client.close();
  }
}
