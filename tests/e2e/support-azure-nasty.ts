import type { AmqpAnnotatedMessage } from "@azure/core-amqp";
import type { ServiceBusClient, ServiceBusMessage, ServiceBusReceivedMessage } from "@azure/service-bus";
import rhea, { type Message as RheaMessage, type Typed } from "rhea";

/* Messages that have broken what reads Service Bus before, made by no code of ours: by its SDK, and by rhea where the SDK cannot say it. */

export const LONG_ID = "12345678901234567890";
export const NOT_UTF8 = Buffer.from("00ff7b80", "hex");
export const TIME = new Date("2026-01-02T03:04:05.678Z");
const { types } = rhea;
const LARGEST = Buffer.from("ffffffffffffffff", "hex");

type Sendable = ServiceBusMessage | AmqpAnnotatedMessage;

/** What the SDK sends, of bodies that are bytes. */
const OF_BYTES: readonly Sendable[] = [
  {
    messageId: "123",
    correlationId: "1e3",
    subject: "null",
    to: LONG_ID,
    replyTo: "true",
    contentType: "1.0",
    replyToSessionId: '{"Kind":1}',
    body: Buffer.from("ids"),
  },
  { messageId: "1e3", correlationId: "text", contentType: "null", body: Buffer.from("second id") },
  { messageId: "null", body: Buffer.from("third id") },
  { messageId: LONG_ID, body: Buffer.from("fourth id") },
  { messageId: "case", applicationProperties: { Kind: "upper", kind: "lower", "ÜX-ä": "ü" }, body: Buffer.from("case") },
  {
    messageId: "values",
    applicationProperties: {
      empty: "",
      absent: null,
      text: "1e3",
      yes: true,
      no: false,
      whole: 7,
      negative: -3,
      fraction: 1.5,
      large: 2 ** 40,
      time: TIME,
    },
    body: Buffer.from("values"),
  },
  { messageId: "no utf-8", body: NOT_UTF8 },
  { messageId: "number", body: Buffer.from("123") },
  { messageId: "object", body: Buffer.from("{}") },
  { messageId: "nothing", body: Buffer.from("null") },
  { messageId: "empty", body: Buffer.alloc(0) },
  { messageId: "json", body: { json: ["ü"] }, contentType: "application/json" },
  // As the SDK makes it of `timeToLive`, but for the present time.
  {
    bodyType: "data",
    body: Buffer.from("ttl"),
    header: { timeToLive: 3_600_000 },
    properties: { messageId: "ttl", creationTime: TIME.getTime(), absoluteExpiryTime: TIME.getTime() + 3_600_000 },
  },
];

/** What the SDK sends, of other bodies. */
const OTHERS: readonly AmqpAnnotatedMessage[] = [
  { bodyType: "value", body: "a value", properties: { messageId: "value" } },
  { bodyType: "value", body: { a: [1, null, "x"] }, properties: { messageId: "value of a map" } },
  { bodyType: "sequence", body: [[1, "a"], [null]], properties: { messageId: "sequence" } },
];

const data = (...sections: Buffer[]) =>
  sections.length === 1 ? rhea.message.data_section(sections[0]) : rhea.message.data_sections(sections);
const text = (value: string) => data(Buffer.from(value));
type Encodable = Omit<RheaMessage, "message_id"> & { message_id: unknown; footer?: object; group_id?: string };

/** What the SDK cannot say, of bodies that are bytes. */
const ENCODED_BYTES: readonly Encodable[] = [
  {
    message_id: "types",
    application_properties: {
      float: types.wrap_float(1.5),
      whole: types.wrap_float(1),
      ubyte: types.wrap_ubyte(255),
      ushort: types.wrap_ushort(65_535),
      uint: types.wrap_uint(4_000_000_000),
      ulong: types.wrap_ulong(LARGEST as unknown as number),
      byte: types.wrap_byte(-1),
      short: types.wrap_short(-2),
      int: types.wrap_int(-70_000),
      long: types.wrap_long(Buffer.from("7fffffffffffffff", "hex") as unknown as number),
      double: types.wrap_double(1),
      timestamp: types.wrap_timestamp(TIME.getTime()),
      char: types.wrap_char(0x1f600),
      uuid: types.wrap_uuid(Buffer.alloc(16, 7)),
      symbol: types.wrap_symbol("sym"),
      binary: types.wrap_binary(NOT_UTF8),
    },
    body: text("types"),
  },
  { message_id: "sections", body: data(Buffer.from("one,"), Buffer.alloc(0), NOT_UTF8) },
  {
    message_id: types.wrap_ulong(7),
    user_id: NOT_UTF8 as unknown as string,
    content_encoding: "gzip",
    creation_time: TIME,
    group_sequence: 5,
    correlation_id: types.wrap_uuid(Buffer.alloc(16, 9)) as unknown as string,
    body: text("fields"),
  },
  {
    message_id: "beside",
    durable: true,
    priority: 9,
    message_annotations: { "x-own": types.wrap_ubyte(3), "x-opt-partition-key": "a key" },
    footer: { sum: types.wrap_ulong(1) },
    body: text("beside"),
  },
];

/** What the SDK cannot say, of other bodies. */
const ENCODED_OTHERS: readonly Encodable[] = [
  { message_id: "null value", body: types.wrap_symbol("a symbol") as unknown as Typed },
  { message_id: "null as a value", body: undefined },
];
/** The section of a value that is null, which rhea writes where there is no body. */
const NULL_SECTION_BYTES = 4;

export interface NastySet {
  /** For a sender of the SDK. */
  sent: readonly Sendable[];
  /** Encoded, for a sender that takes bytes. */
  encoded: readonly Buffer[];
  count: number;
}

/** `sessions`: each message is of one of these, in turns. Without `others`: only what has a body of bytes. */
export function nastySet({ sessions, others }: { sessions?: readonly string[]; others: boolean }): NastySet {
  const session = (i: number) => sessions?.[i % sessions.length];
  const sent = [...OF_BYTES, ...(others ? OTHERS : [])].map((message, i): Sendable => {
    if (!sessions) return message;
    return "bodyType" in message
      ? { ...message, properties: { ...message.properties, groupId: session(i) } }
      : { ...message, sessionId: session(i) as string };
  });
  const encoded = [...ENCODED_BYTES, ...(others ? ENCODED_OTHERS : [])].map((message, i) => {
    // The key of a partition is the session, where there is one.
    const { "x-opt-partition-key": _, ...annotations } = message.message_annotations ?? {};
    const ofSession = sessions && { group_id: session(i), message_annotations: annotations };
    return rhea.message.encode({ ...message, ...ofSession } as unknown as RheaMessage);
  });
  const last = encoded.at(-1);
  if (others && last) encoded.push(last.subarray(0, -NULL_SECTION_BYTES));
  return { sent, encoded, count: sent.length + encoded.length };
}

/** Sends by the SDK, one by one. */
export async function sendAll(client: ServiceBusClient, entity: string, messages: readonly Sendable[]): Promise<void> {
  const sender = client.createSender(entity);
  for (const message of messages) await sender.sendMessages(message as ServiceBusMessage);
  await sender.close();
}

/** Takes so many messages by the SDK, and says what it sees of each, but for what the broker adds. */
export async function seenBySdk(client: ServiceBusClient, count: number, topic: string, subscription?: string): Promise<string[]> {
  const options = { receiveMode: "receiveAndDelete", skipParsingBodyAsJson: true, skipConvertingDate: true } as const;
  const receiver = subscription ? client.createReceiver(topic, subscription, options) : client.createReceiver(topic, options);
  const seen: ServiceBusReceivedMessage[] = [];
  while (seen.length < count) {
    const got = await receiver.receiveMessages(count - seen.length, { maxWaitTimeInMs: 20_000 });
    if (got.length === 0) break;
    seen.push(...got);
  }
  await receiver.close();
  return seen.map(viewOf).sort();
}

/** Lets Service Bus dead-letter what a queue holds, as a consumer asks for that gives no reason. */
export async function deadLetterAll(client: ServiceBusClient, queue: string, count: number): Promise<void> {
  const receiver = client.createReceiver(queue);
  for (let done = 0; done < count; ) {
    const got = await receiver.receiveMessages(count - done, { maxWaitTimeInMs: 20_000 });
    if (got.length === 0) throw new Error(`dead-lettering ${count} messages of ${queue}: it has ${done}`);
    for (const message of got) await receiver.deadLetterMessage(message);
    done += got.length;
  }
  await receiver.close();
}

const BROKERS_OWN = /^x-opt-(sequence-number|enqueued-time|locked-until|enqueue-sequence-number|message-state|deadletter-source)$/;

function viewOf({ _rawAmqpMessage: raw }: ServiceBusReceivedMessage): string {
  const { deliveryCount: _, ...header } = raw.header ?? {};
  const annotations = Object.fromEntries(Object.entries(raw.messageAnnotations ?? {}).filter(([name]) => !BROKERS_OWN.test(name)));
  const { bodyType, body, properties, applicationProperties, footer } = raw;
  return JSON.stringify(sorted({ bodyType, body, properties, applicationProperties, header, annotations, footer }));
}

/** With fields in order, absent ones left out, and bytes told from texts. */
function sorted(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return { bytes: value.toString("hex") };
  if (value instanceof Date || value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(sorted);
  const fields = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(fields.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, each]) => [name, sorted(each)]));
}
