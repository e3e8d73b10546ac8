import type { Broker, ConnectionOptions, metadataV12 } from "@platformatic/kafka";
import { type ApiFamily, METADATA } from "./apis.ts";
import { type Connections, createConnections } from "./connections.ts";
import { answerOf, protocolCodeOf } from "./protocol-errors.ts";

/** A topic as its cluster describes it. */
export interface TopicInfo {
  name: string;
  /** Another one after the topic was deleted and made again; empty where the cluster is too old to have ids. */
  id: string;
  /** Node id of each partition's leader by partition; -1 while there is none. */
  leaders: readonly number[];
  askedAtMs: number;
}

/** One Kafka cluster: finds its brokers, and asks them. */
export interface Cluster {
  /** Asks any broker that answers. Throws the client's errors. */
  askAny<A extends readonly unknown[], R>(family: ApiFamily<A, R>, ...args: A): Promise<R>;
  /** Where a broker is reached. Throws NoSuchBroker where the cluster has none of that id. */
  broker(nodeId: number): Promise<Broker>;
  /** The topic as known, asked anew where that is older than `maxAgeMs`. Throws the client's errors. */
  topic(name: string, maxAgeMs: number): Promise<TopicInfo>;
  /** More connections to the same brokers, such as for requests that are answered late; closed with the cluster. */
  connections(options?: Pick<ConnectionOptions, "requestTimeout" | "maxInflights">): Connections;
  close(): Promise<void>;
}

export interface ClusterOptions {
  /** Where the cluster is first looked for. */
  bootstrap: readonly Broker[];
  clientId: string;
  /** TLS, SASL and timeouts of every connection. */
  connection: ConnectionOptions;
}

type MetadataAnswer = ReturnType<typeof metadataV12.parseResponse>;

/** A partition may have no leader for a while; the others can be used. */
function withLeaderlessPartitions(error: unknown): MetadataAnswer {
  const answer = answerOf<MetadataAnswer>(error);
  if (answer?.topics.every(({ errorCode }) => errorCode === 0)) return answer;
  throw error;
}

/** A broker id that the cluster does not know, or no longer. */
export class NoSuchBroker extends Error {}

/** Brokers are found again at the latest after this time. */
const BROKERS_MAX_AGE_MS = 300_000;
const NO_ID = "00000000-0000-0000-0000-000000000000";

/** Connects at the first request. */
export function createCluster({ bootstrap, clientId, connection }: ClusterOptions): Cluster {
  const opened: Connections[] = [];
  const connections: Cluster["connections"] = (options = {}) => {
    const made = createConnections(clientId, { ...connection, ...options });
    opened.push(made);
    return made;
  };
  const own = connections();
  const topics = new Map<string, TopicInfo>();
  const asking = new Map<string, Promise<TopicInfo>>();
  let brokers = new Map<number, Broker>();
  let foundAtMs = Number.NEGATIVE_INFINITY;
  let last: Broker | undefined;

  /** The broker that answered last, those known, then those of the settings. */
  const candidates = (): Broker[] => {
    const all = [...(last ? [last] : []), ...brokers.values(), ...bootstrap];
    return [...new Map(all.map((broker) => [`${broker.host}:${broker.port}`, broker])).values()];
  };
  const askAny: Cluster["askAny"] = async (family, ...args) => {
    let failure: unknown;
    for (const broker of candidates()) {
      try {
        const answer = await own.ask(broker, family, ...args);
        last = broker;
        return answer;
      } catch (error) {
        if (protocolCodeOf(error) !== undefined) throw error;
        failure = error;
        if (last === broker) last = undefined;
      }
    }
    throw failure;
  };
  const refresh = async (names: string[]) => {
    const answer = await askAny(METADATA, names, false, false).catch(withLeaderlessPartitions);
    brokers = new Map(answer.brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]));
    foundAtMs = performance.now();
    return answer;
  };
  const askTopic = async (name: string): Promise<TopicInfo> => {
    try {
      const { topics: found } = await refresh([name]);
      const [topic] = found;
      if (!topic) throw new Error(`the cluster answered nothing about topic ${name}`);
      const leaders: number[] = [];
      for (const { partitionIndex, leaderId } of topic.partitions) leaders[partitionIndex] = leaderId;
      const id = topic.topicId && topic.topicId !== NO_ID ? topic.topicId : "";
      const info = { name, id, leaders, askedAtMs: performance.now() };
      topics.set(name, info);
      return info;
    } catch (error) {
      topics.delete(name);
      throw error;
    } finally {
      asking.delete(name);
    }
  };
  return {
    askAny,
    async broker(nodeId) {
      if (!brokers.has(nodeId) || performance.now() - foundAtMs > BROKERS_MAX_AGE_MS) await refresh([]);
      const broker = brokers.get(nodeId);
      if (broker) return broker;
      throw new NoSuchBroker(`the cluster has no broker ${nodeId} now`);
    },
    async topic(name, maxAgeMs) {
      const known = topics.get(name);
      if (known && performance.now() - known.askedAtMs <= maxAgeMs) return known;
      const asked = asking.get(name) ?? askTopic(name);
      asking.set(name, asked);
      return asked;
    },
    connections,
    async close() {
      await Promise.all(opened.map((each) => each.close()));
    },
  };
}
