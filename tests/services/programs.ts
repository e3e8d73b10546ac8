import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Where programs that tests need are kept, outside the checkout, so that they are fetched once. */
export const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "persistor-tests");

const FAKE_GCS_VERSION = "v1.56.1";
const MONGO_JAVA_VERSION = "1.47.0";
const KAFKA_VERSION = "3.9.1";
const SLF4J_VERSION = "1.7.36";

export const FAKE_GCS = join(CACHE, `fake-gcs-server-${FAKE_GCS_VERSION}`, "fake-gcs-server");
export const MONGO_JARS = join(CACHE, `mongo-java-server-${MONGO_JAVA_VERSION}`);
export const KAFKA_JARS = join(CACHE, `kafka-${KAFKA_VERSION}`);

/** Whether a program of this name is on PATH. */
export function isOnPath(program: string): boolean {
  return (process.env.PATH ?? "").split(":").some((folder) => folder !== "" && existsSync(join(folder, program)));
}

/** Path of Google's Pub/Sub emulator; undefined where the Cloud SDK or its component is missing. */
export function pubsubEmulator(): string | undefined {
  if (!isOnPath("gcloud")) return undefined;
  try {
    const root = execFileSync("gcloud", ["info", "--format=value(installation.sdk_root)"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const path = join(root.trim(), "platform", "pubsub-emulator", "bin", "cloud-pubsub-emulator");
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

/** Fetches what is not in the cache yet, as far as the tools for it are there; `say` is told what takes time and what failed. */
export async function fetchPrograms(say: (text: string) => void): Promise<void> {
  await Promise.all([
    fetchOnce(FAKE_GCS, "go", say, (folder) =>
      run("go", ["install", `github.com/fsouza/fake-gcs-server@${FAKE_GCS_VERSION}`], { env: { ...process.env, GOBIN: folder } }),
    ),
    fetchAllJars(say),
  ]);
}

/** One after the other: Maven's own repository is not for several at once. */
async function fetchAllJars(say: (text: string) => void): Promise<void> {
  const mongo = [`de.bwaldvogel:mongo-java-server:${MONGO_JAVA_VERSION}`];
  // Without a logger of its own a broker that fails says nothing.
  const kafka = [`org.apache.kafka:kafka_2.13:${KAFKA_VERSION}`, `org.slf4j:slf4j-simple:${SLF4J_VERSION}`];
  await fetchOnce(join(MONGO_JARS, `mongo-java-server-${MONGO_JAVA_VERSION}.jar`), "mvn", say, (folder) => fetchJars(folder, mongo));
  await fetchOnce(join(KAFKA_JARS, `kafka_2.13-${KAFKA_VERSION}.jar`), "mvn", say, (folder) => fetchJars(folder, kafka));
}

/** Fetches what Maven names by these coordinates (`group:artifact:version`), with all that it needs at run time. */
async function fetchJars(folder: string, coordinates: readonly string[]): Promise<void> {
  const pom = join(folder, "pom.xml");
  await writeFile(
    pom,
    `<project><modelVersion>4.0.0</modelVersion><groupId>tests</groupId><artifactId>jars</artifactId><version>1</version><dependencies>
${coordinates.map(dependencyOf).join("\n")}
</dependencies></project>`,
  );
  await run("mvn", ["-q", "-B", "-f", pom, "dependency:copy-dependencies", `-DoutputDirectory=${folder}`]);
}

function dependencyOf(coordinates: string): string {
  const [group, artifact, version] = coordinates.split(":");
  return `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`;
}

/** Fetches into a folder beside, which takes its place when it is whole: a fetch that was cut off leaves nothing behind. */
async function fetchOnce(
  program: string,
  tool: string,
  say: (text: string) => void,
  fetch: (folder: string) => Promise<unknown>,
): Promise<void> {
  if (existsSync(program) || !isOnPath(tool)) return;
  const folder = join(program, "..");
  const partial = `${folder}.${process.pid}`;
  say(`Fetching ${program} by ${tool}, once.`);
  try {
    mkdirSync(partial, { recursive: true });
    await fetch(partial);
    rmSync(folder, { recursive: true, force: true });
    renameSync(partial, folder);
  } catch (error) {
    say(`Fetching ${program} failed: ${(error as Error).message}`);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}
