import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { freePort, type Service, startService } from "./child.ts";
import {
  type AclEntry,
  addAcl,
  addPartitions,
  createTopic,
  deleteRecords,
  deleteTopic,
  isAnswering,
  type TopicOptions,
} from "./kafka/admin.ts";
import { makeServerKeys } from "./kafka/keys.ts";
import {
  brokerSettings,
  DEFAULT_USERS,
  type KafkaSecurity,
  type KafkaUser,
  type Listener,
  listenersOf,
  type Ports,
  propertiesText,
  SCRAM_MECHANISMS,
} from "./kafka/settings.ts";
import { isOnPath, KAFKA_JARS } from "./programs.ts";

/** Apache Kafka itself: broker and controller in one process, whose data lie in a folder of their own. */
export interface KafkaBroker {
  /** `host:port` of the listener without encryption and names. */
  host: string;
  /** The listener under TLS; `ca` is the certificate to trust, as PEM. */
  tls?: { host: string; ca: string };
  sasl?: { host: string };
  saslTls?: { host: string; ca: string };
  /** Who may come over `sasl` and `saslTls`, by PLAIN and both SCRAM mechanisms. */
  users: readonly KafkaUser[];
  /** Its folder of partitions, `<topic>-<partition>` each. */
  readonly dataDir: string;
  readonly pid: number;
  /** What it wrote last, to standard output and error. */
  output(): string;
  /** Resolves when every partition has a leader. */
  createTopic(topic: string, options?: TopicOptions): Promise<void>;
  deleteTopic(topic: string): Promise<void>;
  addPartitions(topic: string, count: number): Promise<void>;
  deleteRecords(topic: string, partition: number, before: number): Promise<void>;
  /** Adds an ACL and waits until it holds; needs `security.authorizer`. */
  addAcl(entry: AclEntry): Promise<void>;
  /** Ends it at once and keeps its data, for `restart`. */
  kill(): Promise<void>;
  /** Asks it to end, waits until it has, and keeps its data, for `restart`; returns its exit code. */
  terminate(): Promise<number | null>;
  /** Starts it again, on the same ports with the same data, after `downMs` without it (default 200); one that still runs is terminated. */
  restart(options?: { downMs?: number }): Promise<void>;
  /** Ends it at once and removes its data. */
  stop(): Promise<void>;
}

export interface KafkaBrokerOptions {
  /** Of the listener without encryption and names; default: a free one. */
  port?: number;
  /** Default 512. */
  heapMb?: number;
  /** Partitions of a topic whose maker names no number; default 1. */
  partitions?: number;
  /** Further server properties, which win. */
  settings?: Readonly<Record<string, string>>;
  security?: KafkaSecurity;
}

const run = promisify(execFile);
const CLASSES = join(KAFKA_JARS, "*");
const QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn";
const CLUSTER_ID = "persistorTestsCluster0";
const DOWN_MS = 200;

/** Why Kafka cannot run here; undefined where it can. */
export function kafkaBrokerMissing(): string | undefined {
  if (!isOnPath("java")) return "Kafka needs java on PATH";
  if (existsSync(KAFKA_JARS)) return undefined;
  return isOnPath("mvn") ? "Kafka could not be fetched by mvn" : "Kafka needs mvn on PATH, once, to be fetched";
}

/** Starts a broker with a fresh folder of data, on free ports of 127.0.0.1. */
export async function startKafkaBroker(options: KafkaBrokerOptions = {}): Promise<KafkaBroker> {
  const folder = mkdtempSync(join(tmpdir(), "persistor-kafka-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const { security = {}, settings, partitions = 1 } = options;
    const keys = security.tls || security.saslTls ? await makeServerKeys(folder) : undefined;
    const ports = await freePorts(security, options.port);
    const properties = join(folder, "server.properties");
    const dataDir = join(folder, "data");
    const own = brokerSettings(ports, dataDir, security, keys);
    writeFileSync(properties, propertiesText({ ...own, "num.partitions": String(partitions), ...settings }));
    await format(properties, security);
    const addresses = addressesOf(ports, security, keys?.ca);
    const runs = await startRuns(() => startBroker(addresses.host, properties, options), remove);
    // Not spread: `pid` is that of the present run.
    return Object.assign(runs, addresses, { dataDir }, tasksOf(addresses.host));
  } catch (error) {
    remove();
    throw error;
  }
}

async function freePorts(security: KafkaSecurity, port?: number): Promise<Ports> {
  const ports: Partial<Record<Listener, number>> = {};
  for (const listener of listenersOf(security)) ports[listener] = await freePort();
  return { ...ports, ...(port && { PLAINTEXT: port }) };
}

/** Prepares the folder of data, with the users of SCRAM, who are data. */
async function format(properties: string, { users = DEFAULT_USERS }: KafkaSecurity): Promise<void> {
  const scram = SCRAM_MECHANISMS.flatMap((mechanism) =>
    users.flatMap(({ name, password }) => ["--add-scram", `${mechanism}=[name=${name},password=${password}]`]),
  );
  await run("java", [QUIET, "-cp", CLASSES, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", properties, ...scram]);
}

function addressesOf(ports: Ports, { users = DEFAULT_USERS }: KafkaSecurity, ca = "") {
  const host = (listener: Listener) => `127.0.0.1:${ports[listener]}`;
  return {
    host: host("PLAINTEXT"),
    ...(ports.SSL && { tls: { host: host("SSL"), ca } }),
    ...(ports.SASL_PLAINTEXT && { sasl: { host: host("SASL_PLAINTEXT") } }),
    ...(ports.SASL_SSL && { saslTls: { host: host("SASL_SSL"), ca } }),
    users,
  };
}

const tasksOf = (host: string) => ({
  createTopic: (topic: string, options?: TopicOptions) => createTopic(host, topic, options),
  deleteTopic: (topic: string) => deleteTopic(host, topic),
  addPartitions: (topic: string, count: number) => addPartitions(host, topic, count),
  deleteRecords: (topic: string, partition: number, before: number) => deleteRecords(host, topic, partition, before),
  addAcl: (entry: AclEntry) => addAcl(host, entry),
});

function startBroker(host: string, properties: string, { heapMb = 512, security }: KafkaBrokerOptions): Promise<Service> {
  // Kafka 3.9.1 asks no address for keys that it is not allowed to by name.
  const allowed = security?.oauth ? [`-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${security.oauth.jwksUrl}`] : [];
  return startService({
    name: "kafka",
    command: "java",
    args: [`-Xmx${heapMb}m`, "-XX:+UseSerialGC", QUIET, ...allowed, "-cp", CLASSES, "kafka.Kafka", properties],
    isReady: () => isAnswering(host),
  });
}

type Runs = Pick<KafkaBroker, "pid" | "output" | "kill" | "terminate" | "restart" | "stop">;

/** The broker's life over several runs, of which one is there at a time. */
async function startRuns(start: () => Promise<Service>, remove: () => void): Promise<Runs> {
  let service = await start();
  return {
    get pid() {
      return service.pid;
    },
    output: () => service.output(),
    kill: () => service.stop(),
    terminate: () => service.terminate(),
    async restart({ downMs = DOWN_MS } = {}) {
      await service.terminate();
      await sleep(downMs);
      service = await start();
    },
    async stop() {
      await service.stop();
      remove();
    },
  };
}
