import {
  type Attribute,
  binaryAttribute,
  booleanAttribute,
  longAttribute,
  type MessageContent,
  nullAttribute,
  stringAttribute,
  timestampAttribute,
} from "../../shared/core/message.ts";
import { messageOf } from "../contract/support-messages.ts";

/* Messages of each kind of broker, and what another kind makes of them. */

export const KINDS = ["kafka", "pubsub", "service-bus", "event-hubs"] as const;
export type Kind = (typeof KINDS)[number];

const BYTES = Buffer.from("00ff7b80", "hex");
const amqp = (name: string, kind: string, hex: string): Attribute => ({ name, kind: `amqp:${kind}`, value: Buffer.from(hex, "hex") });

/** What only records of Kafka have. */
const OF_KAFKA: Readonly<Record<string, Partial<MessageContent>>> = {
  "a text key": { key: Buffer.from("key") },
  "a long key": { key: Buffer.from("k".repeat(200)) },
  "a binary key": { key: BYTES },
  "an empty key": { key: Buffer.alloc(0) },
  "a header twice": { attributes: [stringAttribute("twice", "1"), stringAttribute("twice", "2")] },
  "a header without UTF-8 name": {
    attributes: [{ name: "a\uFFFD", kind: "kafka:raw-name", value: Uint8Array.of(0, 0, 0, 2, 0x61, 0xff, 1, 0x76) }],
  },
  "a header content-type": { attributes: [stringAttribute("content-type", "text/plain")] },
};
const OF_ALL: Readonly<Record<string, Partial<MessageContent>>> = {
  "text alone": {},
  "a binary attribute": { attributes: [binaryAttribute("binary", BYTES)] },
  "a null attribute": { attributes: [nullAttribute("null")] },
  "no payload": { payloadKind: "null", payload: new Uint8Array(0) },
  "an empty payload": { payload: new Uint8Array(0) },
};
/** What only AMQP has. */
const OF_AMQP: Readonly<Record<string, Partial<MessageContent>>> = {
  "an ordering key": { orderingKey: "order" },
  "a content type": { contentType: "text/plain" },
  "a boolean": { attributes: [booleanAttribute("typed", true)] },
  "an int": { attributes: [amqp("typed", "int", "00000007")] },
  "a long": { attributes: [longAttribute("typed", 7n)] },
  "a double": { attributes: [{ name: "typed", kind: "double", value: Buffer.from("3ff8000000000000", "hex") }] },
  "a timestamp": { attributes: [timestampAttribute("typed", 1_000n)] },
  "a uuid": { attributes: [amqp("typed", "uuid", "07".repeat(16))] },
  "a symbol": { attributes: [amqp("typed", "symbol", "73796d")] },
  "binary that is text": { attributes: [binaryAttribute("typed", Buffer.from("text"))] },
  "a message id": { system: [stringAttribute("amqp:message-id", "id")] },
  "a correlation id": { system: [stringAttribute("amqp:correlation-id", "correlation")] },
  "a subject": { system: [stringAttribute("amqp:subject", "subject")] },
  "a time to live": { system: [amqp("amqp:ttl", "uint", "00000e10")] },
  "an annotation": { system: [stringAttribute("amqp:annotation:x-own", "own")] },
  "a footer": { system: [amqp("amqp:footer", "encoded", "c10602a301735601")] },
  "an AMQP value": { payloadKind: "amqp-value", payload: Buffer.from("a10161", "hex") },
  "an AMQP sequence": { payloadKind: "amqp-sequence", payload: Buffer.from("c0020141", "hex") },
  "several data sections": {
    payload: Buffer.from("ab"),
    system: [binaryAttribute("amqp:data-lengths", Buffer.from("0000000100000001", "hex"))],
  },
};
const OF_PUBSUB: Readonly<Record<string, Partial<MessageContent>>> = {
  "text alone": {},
  "an empty payload": { payload: new Uint8Array(0) },
  "an ordering key": { orderingKey: "order" },
  "a long ordering key": { orderingKey: "o".repeat(129) },
  "an attribute content-type": { attributes: [stringAttribute("content-type", "text/plain")] },
  "an attribute named as a property": { attributes: [stringAttribute("amqp:message-id", "id"), stringAttribute("message-id", "other")] },
};
const VARIANTS: Readonly<Record<Kind, Readonly<Record<string, Partial<MessageContent>>>>> = {
  kafka: { ...OF_ALL, ...OF_KAFKA },
  pubsub: OF_PUBSUB,
  "service-bus": { ...OF_ALL, ...OF_AMQP },
  "event-hubs": { ...OF_ALL, ...OF_AMQP, "a group id": { system: [stringAttribute("amqp:group-id", "group")] } },
};

export interface Mapping {
  /** What is other than it was, by variant; the rest of what is carried is as it was. */
  changed: Readonly<Record<string, (content: MessageContent) => Partial<MessageContent>>>;
  /** Why a variant is not carried. */
  refused: Readonly<Record<string, string>>;
}

const refusedBy = (reason: (variant: string) => string, ...variants: string[]) =>
  Object.fromEntries(variants.map((variant) => [variant, reason(variant)]));

const kafkaToAmqp = (product: string): Mapping => ({
  changed: { "a text key": () => ({ key: null, orderingKey: "key" }) },
  refused: {
    ...refusedBy(() => `${product} has no record key`, "a long key", "a binary key", "an empty key"),
    "a header twice": `${product} takes a name once, not repeated as "twice"`,
    "a header without UTF-8 name": `${product} has no attribute of kind kafka:raw-name, as "a\uFFFD"`,
  },
});
const TYPES: Readonly<Record<string, string>> = {
  "a boolean": "boolean",
  "an int": "amqp:int",
  "a long": "long",
  "a double": "double",
  "a timestamp": "timestamp",
  "a uuid": "amqp:uuid",
  "a symbol": "amqp:symbol",
};
/** Properties that are no text, or of no field of AMQP's. */
const PROPERTIES: Readonly<Record<string, string>> = {
  "a time to live": "amqp:ttl",
  "an annotation": "amqp:annotation:x-own",
  "a footer": "amqp:footer",
  "several data sections": "amqp:data-lengths",
};
const BODIES = {
  "an AMQP value": "Kafka has no payload of kind amqp-value",
  "an AMQP sequence": "Kafka has no payload of kind amqp-sequence",
};
const TEXT_PROPERTIES = ["amqp:message-id", "amqp:correlation-id", "amqp:subject", "amqp:group-id"];

/** At Kafka: ordering key, content type, and properties that are text. */
const toKafka = ({ attributes, system, orderingKey, contentType }: MessageContent): Partial<MessageContent> => {
  const isText = ({ name }: Attribute) => TEXT_PROPERTIES.includes(name);
  const properties = system.filter(isText).map(({ name, value }) => stringAttribute(name.slice("amqp:".length), value as string));
  const typed = contentType === "" ? [] : [stringAttribute("content-type", contentType)];
  return {
    key: orderingKey === "" ? null : Buffer.from(orderingKey),
    orderingKey: "",
    contentType: "",
    attributes: [...attributes, ...properties, ...typed],
    system: system.filter((property) => !isText(property)),
  };
};
const AMQP_TO_KAFKA: Mapping = {
  changed: Object.fromEntries(Object.keys({ ...OF_ALL, ...OF_AMQP, "a group id": {} }).map((variant) => [variant, toKafka])),
  refused: {
    ...refusedBy((variant) => `Kafka has no attribute of kind ${TYPES[variant]}, as "typed"`, ...Object.keys(TYPES)),
    ...refusedBy((variant) => `Kafka has no system property "${PROPERTIES[variant]}"`, ...Object.keys(PROPERTIES)),
    "binary that is text": 'Kafka cannot tell binary that is text from text, as in the attribute "typed"',
    ...BODIES,
  },
};

const pubsubToAmqp = (product: string): Mapping => ({
  changed: {},
  refused: { "a long ordering key": `${product} takes ordering keys of up to 128 characters` },
});
const AMQP_TO_PUBSUB: Mapping = {
  changed: Object.fromEntries(
    Object.keys({ ...OF_ALL, ...OF_AMQP, "a group id": {} }).map((variant) => [
      variant,
      (content) => ({ ...toKafka(content), key: null, orderingKey: content.orderingKey }),
    ]),
  ),
  refused: {
    ...refusedBy((variant) => `Pub/Sub has no attribute of kind ${TYPES[variant]}, as "typed"`, ...Object.keys(TYPES)),
    ...refusedBy((variant) => `Pub/Sub has no system property "${PROPERTIES[variant]}"`, ...Object.keys(PROPERTIES)),
    "binary that is text": 'Pub/Sub has no attribute of kind binary, as "typed"',
    "a binary attribute": 'Pub/Sub has no attribute of kind binary, as "binary"',
    "a null attribute": 'Pub/Sub has no attribute of kind null, as "null"',
    "no payload": "Pub/Sub has no payload of kind null",
    "an AMQP value": "Pub/Sub has no payload of kind amqp-value",
    "an AMQP sequence": "Pub/Sub has no payload of kind amqp-sequence",
  },
};

/** What becomes of each variant between two brokers. */
export const MAPPINGS: readonly (Mapping & { from: Kind; to: Kind })[] = [
  { from: "kafka", to: "service-bus", ...kafkaToAmqp("Service Bus") },
  { from: "kafka", to: "event-hubs", ...kafkaToAmqp("Event Hubs") },
  { from: "service-bus", to: "event-hubs", changed: {}, refused: {} },
  {
    from: "event-hubs",
    to: "service-bus",
    changed: {},
    refused: { "a group id": 'Service Bus has "amqp:group-id" as its ordering key or content type alone' },
  },
  { from: "event-hubs", to: "kafka", ...AMQP_TO_KAFKA },
  { from: "service-bus", to: "kafka", ...AMQP_TO_KAFKA },
  { from: "pubsub", to: "service-bus", ...pubsubToAmqp("Service Bus") },
  { from: "pubsub", to: "event-hubs", ...pubsubToAmqp("Event Hubs") },
  { from: "service-bus", to: "pubsub", ...AMQP_TO_PUBSUB },
  { from: "event-hubs", to: "pubsub", ...AMQP_TO_PUBSUB },
];

export const variantOf = ({ attributes }: MessageContent) => String(attributes.find(({ name }) => name === "variant")?.value);
/** A message of each variant that a broker can have. */
export const contentsOf = (kind: Kind): MessageContent[] =>
  Object.entries(VARIANTS[kind]).map(([variant, more]) =>
    messageOf("payload", { ...more, attributes: [stringAttribute("variant", variant), ...(more.attributes ?? [])] }),
  );
