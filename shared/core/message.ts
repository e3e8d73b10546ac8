/**
 * What form the payload had at the broker. `null` is a payload that is absent (a Kafka tombstone), unlike an empty one;
 * the `amqp-*` kinds hold an encoded AMQP 1.0 body section.
 */
export type PayloadKind = "bytes" | "null" | "amqp-value" | "amqp-sequence";

export const PAYLOAD_KINDS: readonly PayloadKind[] = ["bytes", "null", "amqp-value", "amqp-sequence"];

/**
 * One attribute, exact. A name may be any text and may repeat; repeats keep their order.
 *
 * `string` holds text. Every other kind holds bytes: `binary` as they are, `null` none, `boolean` one byte (0 or 1), `long` eight
 * bytes two's complement big-endian, `double` eight bytes IEEE 754 big-endian, `timestamp` like `long` in milliseconds since 1970.
 * Adapters may add kinds of their broker (such as `amqp:uuid`); core code carries them unread.
 */
export interface Attribute {
  readonly name: string;
  readonly kind: string;
  /** A string exactly where `kind` is `string`. */
  readonly value: string | Uint8Array;
}

/** What of a message travels: everything but the identity and times that a broker gives it. */
export interface MessageContent {
  payloadKind: PayloadKind;
  /** Empty where `payloadKind` is `null`. */
  payload: Uint8Array;
  attributes: readonly Attribute[];
  /** The broker's own properties (correlation id, session, reply-to, subject, time to live …). */
  system: readonly Attribute[];
  /** The record key; null where there is none, unlike an empty one. */
  key: Uint8Array | null;
  /** Empty where there is none. */
  orderingKey: string;
  /** Empty where there is none. */
  contentType: string;
}

/** One message as the broker delivered it. */
export interface Message extends MessageContent {
  /** The source's id: with `brokerMessageId` the message's identity. */
  brokerId: string;
  brokerMessageId: string;
  /** The topic or queue it came from. */
  topic: string;
  /** Empty where the broker has no partitions. */
  partition: string;
  /** Position in the partition; -1 where there is none. */
  sequence: bigint;
  /** Microseconds since 1970 UTC, exact to ±2^53 (the year 2255) and to the millisecond beyond. */
  publishTimeUs: number;
}

export const NO_SEQUENCE = -1n;

const utf8 = new TextEncoder();
const NO_BYTES = new Uint8Array(0);

/** The message's identity within a collection: `{broker_id}_{broker_msg_id}`. */
export function uniqueIdOf(message: Pick<Message, "brokerId" | "brokerMessageId">): string {
  return `${message.brokerId}_${message.brokerMessageId}`;
}

export function stringAttribute(name: string, value: string): Attribute {
  return { name, kind: "string", value };
}

export function binaryAttribute(name: string, value: Uint8Array): Attribute {
  return { name, kind: "binary", value };
}

export function nullAttribute(name: string): Attribute {
  return { name, kind: "null", value: NO_BYTES };
}

export function booleanAttribute(name: string, value: boolean): Attribute {
  return { name, kind: "boolean", value: Uint8Array.of(value ? 1 : 0) };
}

export function longAttribute(name: string, value: bigint): Attribute {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, value);
  return { name, kind: "long", value: bytes };
}

export function doubleAttribute(name: string, value: number): Attribute {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value);
  return { name, kind: "double", value: bytes };
}

export function timestampAttribute(name: string, ms: bigint): Attribute {
  return { ...longAttribute(name, ms), kind: "timestamp" };
}

/** Content of a payload alone. */
export function payloadContent(payload: Uint8Array): MessageContent {
  return { payloadKind: "bytes", payload, attributes: [], system: [], key: null, orderingKey: "", contentType: "" };
}

/** The first text value of the attribute `name`; undefined where there is none of kind `string`. */
export function textAttribute(attributes: readonly Attribute[], name: string): string | undefined {
  for (const attribute of attributes) {
    if (attribute.name === name && attribute.kind === "string") return attribute.value as string;
  }
  return undefined;
}

/** The attribute's value as bytes: UTF-8 for text, as held for the rest. */
export function attributeBytes(attribute: Attribute): Uint8Array {
  return typeof attribute.value === "string" ? utf8.encode(attribute.value) : attribute.value;
}

/** Approximate size in bytes of what a broker carries for this message: payload, attributes, keys. */
export function contentSize(content: MessageContent): number {
  let size = content.payload.length + content.orderingKey.length + content.contentType.length + (content.key?.length ?? 0);
  for (const { name, value } of content.attributes) size += name.length + value.length;
  for (const { name, value } of content.system) size += name.length + value.length;
  return size;
}
