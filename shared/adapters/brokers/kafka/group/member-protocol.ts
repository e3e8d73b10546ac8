import { Reader, Writer } from "@platformatic/kafka";

// What members tell each other through the coordinator, in the forms that Kafka's own tools read:
// https://github.com/apache/kafka/tree/trunk/clients/src/main/resources/common/message (ConsumerProtocolSubscription, ConsumerProtocolAssignment)

const SUBSCRIPTION_VERSION = 1;
const ASSIGNMENT_VERSION = 0;

/** What a member wants, and has. */
export interface Subscription {
  topic: string;
  /** Partitions of the topic that it holds. */
  owned: readonly number[];
}

export function encodeSubscription({ topic, owned }: Subscription): Buffer {
  const writer = Writer.create().appendInt16(SUBSCRIPTION_VERSION);
  writer.appendArray([topic], (w, name) => void w.appendString(name, false), false, false);
  writer.appendInt32(-1); // No user data.
  appendPartitions(writer, topic, owned);
  return writer.buffer;
}

/** Members of other versions say less or more; what is not known is passed over. */
export function decodeSubscription(bytes: Buffer, topic: string): Subscription {
  const reader = Reader.from(bytes);
  const version = reader.readInt16();
  reader.readArray((r) => r.readString(false), false, false);
  reader.readNullableBytes(false);
  const owned = version >= 1 && reader.remaining > 0 ? readPartitions(reader, topic) : [];
  return { topic, owned };
}

export function encodeAssignment(topic: string, partitions: readonly number[]): Buffer {
  const writer = Writer.create().appendInt16(ASSIGNMENT_VERSION);
  appendPartitions(writer, topic, partitions);
  return writer.appendInt32(-1).buffer;
}

/** The partitions of `topic`; none where the coordinator sent nothing. */
export function decodeAssignment(bytes: Buffer, topic: string): number[] {
  if (bytes.length < 6) return [];
  const reader = Reader.from(bytes);
  reader.readInt16();
  return readPartitions(reader, topic);
}

function appendPartitions(writer: Writer, topic: string, partitions: readonly number[]): void {
  writer.appendArray(
    [topic],
    (w) =>
      void w.appendString(topic, false).appendArray([...partitions], (inner, partition) => void inner.appendInt32(partition), false, false),
    false,
    false,
  );
}

function readPartitions(reader: Reader, topic: string): number[] {
  const topics = reader.readArray(
    (r) => ({ name: r.readString(false), partitions: r.readArray((inner) => inner.readInt32(), false, false) }),
    false,
    false,
  );
  return topics.filter(({ name }) => name === topic).flatMap(({ partitions }) => partitions ?? []);
}
