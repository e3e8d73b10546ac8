import * as kafka from "@platformatic/kafka";

/** What is asked of one partition. */
export interface FetchFrom {
  partition: number;
  offset: number;
  maxBytes: number;
}

export interface FetchRequest {
  topic: string;
  /** Empty where the cluster has no ids. */
  topicId: string;
  partitions: readonly FetchFrom[];
  /** How long the broker waits for a first message. */
  maxWaitMs: number;
  maxBytes: number;
  /** Transactions that are not ended or were aborted: left out (1), or not (0). */
  isolationLevel: 0 | 1;
}

/** What came of one partition. */
export interface FetchedPartition {
  partition: number;
  /** 0: none. */
  errorCode: number;
  /** Transactions that were aborted, by their first offset. */
  aborted: readonly { producerId: bigint; firstOffset: number }[];
  /** Record batches as they lie in the log; the last one may be cut off. */
  records: Buffer;
}

export interface FetchAnswer {
  throttleMs: number;
  errorCode: number;
  partitions: FetchedPartition[];
}

export const FETCH_KEY = 1;
/** From 12 on fields are compact and may be tagged, from 13 on topics are named by their ids. */
const FLEXIBLE_FROM = 12;
const TOPIC_IDS_FROM = 13;
const REQUESTS = {
  17: kafka.fetchV17.createRequest,
  16: kafka.fetchV16.createRequest,
  15: kafka.fetchV15.createRequest,
  14: kafka.fetchV14.createRequest,
  13: kafka.fetchV13.createRequest,
  12: kafka.fetchV12.createRequest,
  11: kafka.fetchV11.createRequest,
} as const;
const WITH_IDS: readonly number[] = [17, 16, 15, 14, 13, 12, 11];
const WITHOUT_IDS: readonly number[] = [12, 11];

/** The versions in which a topic can be fetched, the newest first. */
export function fetchVersions(topicId: string): readonly number[] {
  return topicId === "" ? WITHOUT_IDS : WITH_IDS;
}

/** Fetches from one broker. The client's own reading of batches is passed by: see decision 007. Throws the client's errors. */
export function fetchFrom(connection: kafka.Connection, version: number, request: FetchRequest): Promise<FetchAnswer> {
  const { topic, topicId, partitions, maxWaitMs, maxBytes, isolationLevel } = request;
  const asked = {
    topicId: version >= TOPIC_IDS_FROM ? topicId : topic,
    partitions: partitions.map(({ partition, offset, maxBytes: partitionMaxBytes }) => ({
      partition,
      currentLeaderEpoch: -1,
      fetchOffset: BigInt(offset),
      lastFetchedEpoch: -1,
      partitionMaxBytes,
    })),
  };
  const isFlexible = version >= FLEXIBLE_FROM;
  const create = REQUESTS[version as keyof typeof REQUESTS];
  return new Promise((resolve, reject) => {
    connection.send(
      FETCH_KEY,
      version,
      () => create(maxWaitMs, 1, maxBytes, isolationLevel, 0, -1, [asked], [], ""),
      (_id, _key, _version, reader) => readAnswer(reader.buffer.buffer, version),
      isFlexible,
      isFlexible,
      (error: Error | null, answer?: FetchAnswer) => (error ? reject(error) : resolve(answer as FetchAnswer)),
    );
  });
}

/** Reads an answer of a version of 11 or later. What it returns are views into `bytes`. */
export function readAnswer(bytes: Buffer, version: number): FetchAnswer {
  const isFlexible = version >= FLEXIBLE_FROM;
  let at = 0;
  const int32 = () => {
    at += 4;
    return bytes.readInt32BE(at - 4);
  };
  const int16 = () => {
    at += 2;
    return bytes.readInt16BE(at - 2);
  };
  const int64 = () => {
    at += 8;
    return bytes.readBigInt64BE(at - 8);
  };
  const unsigned = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes.readUInt8(at++);
      value += (byte & 0x7f) * 2 ** shift;
      if (byte <= 0x7f) return value;
    }
  };
  /** -1 for none. */
  const length = () => (isFlexible ? unsigned() - 1 : int32());
  const tags = () => {
    if (!isFlexible) return;
    for (let left = unsigned(); left > 0; left--) {
      unsigned();
      const size = unsigned();
      at += size;
    }
  };
  const list = <T>(read: () => T): T[] => Array.from({ length: Math.max(0, length()) }, read);
  const readPartition = (): FetchedPartition => {
    const partition = int32();
    const errorCode = int16();
    at += 24; // How far the log reaches: high watermark, last stable offset and start.
    const aborted = list(() => {
      const transaction = { producerId: int64(), firstOffset: Number(int64()) };
      tags();
      return transaction;
    });
    at += 4; // The replica to be preferred.
    const size = Math.max(0, length());
    const records = bytes.subarray(at, at + size);
    at += size;
    tags();
    return { partition, errorCode, aborted, records };
  };
  const throttleMs = int32();
  const errorCode = int16();
  at += 4; // The session's id: none is asked for.
  const topics = list(() => {
    at += version >= TOPIC_IDS_FROM ? 16 : isFlexible ? nameBytes() : 2 + bytes.readInt16BE(at);
    const partitions = list(readPartition);
    tags();
    return partitions;
  });
  return { throttleMs, errorCode, partitions: topics.flat() };

  function nameBytes(): number {
    const from = at;
    const size = unsigned() - 1;
    const bytesOfLength = at - from;
    at = from;
    return bytesOfLength + size;
  }
}
