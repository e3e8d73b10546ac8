import { Reader, Writer } from "@platformatic/kafka";

// What members tell each other through the coordinator, in the forms that Kafka's own tools read:
// https://github.com/apache/kafka/tree/trunk/clients/src/main/resources/common/message (ConsumerProtocolSubscription, ConsumerProtocolAssignment)

const SUBSCRIPTION_VERSION = 1;
const ASSIGNMENT_VERSION = 0;

/** Partitions by topic. */
export type Partitions = ReadonlyMap<string, readonly number[]>;

/** What a member wants, and has. */
export interface Subscription {
  topics: readonly string[];
  /** What it holds. */
  owned: Partitions;
}

export function encodeSubscription({ topics, owned }: Subscription): Buffer {
  const writer = Writer.create().appendInt16(SUBSCRIPTION_VERSION);
  writer.appendArray([...topics], (w, name) => void w.appendString(name, false), false, false);
  writer.appendInt32(-1); // No user data.
  appendPartitions(writer, owned);
  return writer.buffer;
}

/** Members of other versions say less or more; what is not known is passed over. */
export function decodeSubscription(bytes: Buffer): Subscription {
  const reader = Reader.from(bytes);
  const version = reader.readInt16();
  const topics = reader.readArray((r) => r.readString(false), false, false);
  reader.readNullableBytes(false);
  return { topics, owned: version >= 1 && reader.remaining > 0 ? readPartitions(reader) : new Map() };
}

export function encodeAssignment(partitions: Partitions): Buffer {
  const writer = Writer.create().appendInt16(ASSIGNMENT_VERSION);
  appendPartitions(writer, partitions);
  return writer.appendInt32(-1).buffer;
}

/** Nothing where the coordinator sent nothing. */
export function decodeAssignment(bytes: Buffer): Partitions {
  if (bytes.length < 6) return new Map();
  const reader = Reader.from(bytes);
  reader.readInt16();
  return readPartitions(reader);
}

function appendPartitions(writer: Writer, partitions: Partitions): void {
  const appendInt = (w: Writer, partition: number) => void w.appendInt32(partition);
  const append = (w: Writer, [topic, of]: [string, readonly number[]]) =>
    void w.appendString(topic, false).appendArray([...of], appendInt, false, false);
  writer.appendArray([...partitions], append, false, false);
}

function readPartitions(reader: Reader): Partitions {
  const readOne = (r: Reader): [string, number[]] => [r.readString(false), r.readArray((inner) => inner.readInt32(), false, false) ?? []];
  return new Map(reader.readArray(readOne, false, false));
}
