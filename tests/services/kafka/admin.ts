import { setTimeout as sleep } from "node:timers/promises";
import {
  type AclOperationLabel,
  AclOperations,
  AclPermissionTypes,
  Admin,
  ListOffsetTimestamps,
  ResourcePatternTypes,
  ResourceTypes,
} from "@platformatic/kafka";

export interface TopicOptions {
  /** Default 1. */
  partitions?: number;
  /** As Kafka names them, such as `retention.ms`. */
  config?: Readonly<Record<string, string>>;
}

/** What a user may do, or may not. */
export interface AclEntry {
  /** As in SASL: a user's name, a token's subject; `*` for everyone. */
  user: string;
  resource: "TOPIC" | "GROUP" | "CLUSTER" | "TRANSACTIONAL_ID";
  /** `*` for all; of a cluster always `kafka-cluster`. */
  name: string;
  operation: AclOperationLabel;
  /** Default `ALLOW`. */
  permission?: "ALLOW" | "DENY";
  /** `PREFIXED`: `name` is the start of names. Default `LITERAL`. */
  pattern?: "LITERAL" | "PREFIXED";
}

const POLL_MS = 25;
const STEP_MS = 10_000;
const LIMIT_MS = 30_000;

/** Whether the broker tells its metadata. */
export async function isAnswering(host: string): Promise<boolean> {
  const { brokers } = await withAdmin(host, (admin) => admin.metadata({ topics: [] }), 1_000);
  return brokers.size > 0;
}

/** Makes a topic and waits until every partition of it has a leader that answers. */
export async function createTopic(host: string, topic: string, { partitions = 1, config = {} }: TopicOptions = {}): Promise<void> {
  const configs = Object.entries(config).map(([name, value]) => ({ name, value }));
  await withAdmin(host, (admin) => admin.createTopics({ topics: [{ topic, partitions, replicas: 1 }], configs }));
  const timestamp = ListOffsetTimestamps.EARLIEST;
  const asked = Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex, timestamp }));
  await until(`creating topic ${topic}`, () =>
    withAdmin(host, async (admin) => {
      const [listed] = await admin.listOffsets({ topics: [{ name: topic, partitions: asked }] });
      return listed?.partitions.length === partitions;
    }),
  );
}

/** Deletes a topic and waits until the broker knows it no more. */
export async function deleteTopic(host: string, topic: string): Promise<void> {
  await withAdmin(host, (admin) => admin.deleteTopics({ topics: [topic] }));
  await until(`deleting topic ${topic}`, () => withAdmin(host, async (admin) => !(await admin.listTopics()).includes(topic)));
}

/** Gives a topic more partitions and waits until each of them has a leader. */
export async function addPartitions(host: string, topic: string, count: number): Promise<void> {
  await withAdmin(host, (admin) => admin.createPartitions({ topics: [{ name: topic, count, assignments: null }] }));
  await until(`adding partitions to ${topic}`, () =>
    withAdmin(
      host,
      async (admin) => (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic)?.partitionsCount === count,
    ),
  );
}

/** Deletes the records of a partition before `offset`, as a topic's retention does. */
export async function deleteRecords(host: string, topic: string, partition: number, offset: number): Promise<void> {
  await withAdmin(host, (admin) => admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition, offset: BigInt(offset) }] }] }));
}

/** Adds an entry and waits until the broker has it. */
export async function addAcl(host: string, { user, resource, name, operation, permission, pattern }: AclEntry): Promise<void> {
  const acl = {
    resourceType: ResourceTypes[resource],
    resourceName: name,
    resourcePatternType: ResourcePatternTypes[pattern ?? "LITERAL"],
    principal: `User:${user}`,
    host: "*",
    operation: AclOperations[operation],
    permissionType: AclPermissionTypes[permission ?? "ALLOW"],
  };
  await withAdmin(host, (admin) => admin.createAcls({ creations: [acl] }));
  await until(`adding an ACL of ${user}`, () =>
    withAdmin(host, async (admin) => (await admin.describeAcls({ filter: acl })).some(({ acls }) => acls.length > 0)),
  );
}

/** A client for one task: its promises can stay open for ever, so each has a time limit. */
async function withAdmin<T>(host: string, task: (admin: Admin) => Promise<T>, limitMs = STEP_MS): Promise<T> {
  const admin = new Admin({
    clientId: "tests",
    bootstrapBrokers: [host],
    retries: 0,
    connectTimeout: limitMs,
    timeout: limitMs,
    autocreateTopics: false,
  });
  try {
    return await within(limitMs, task(admin));
  } finally {
    await within(limitMs, admin.close()).catch(() => undefined);
  }
}

async function within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  const ended = new AbortController();
  const late = sleep(limitMs, undefined, { signal: ended.signal }).then(() => {
    throw new Error(`asking Kafka: no answer within ${limitMs} ms`);
  });
  late.catch(() => undefined);
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, late]);
  } finally {
    ended.abort();
  }
}

/** Asks until the answer is yes; what it throws meanwhile counts as no. */
async function until(aim: string, isDone: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + LIMIT_MS;
  let cause: unknown;
  while (Date.now() < deadline) {
    try {
      if (await isDone()) return;
    } catch (error) {
      cause = error;
    }
    await sleep(POLL_MS);
  }
  throw new Error(`${aim}: not done within ${LIMIT_MS} ms`, { cause });
}
