import { isUtf8 } from "node:buffer";
import { type Attribute, type MessageContent, stringAttribute } from "../../../core/message.ts";
import { propertiesAsAttributes } from "../../support/amqp/properties-as-attributes.ts";

/** Pub/Sub's limits, in bytes of UTF-8 where they count bytes. */
export const MAX_REQUEST_BYTES = 10_000_000;
const MAX_ATTRIBUTES = 100;
const MAX_NAME_BYTES = 256;
const MAX_VALUE_BYTES = 1024;
const MAX_KEY_BYTES = 1024;

/** Tags and lengths around a message's fields: payload, ordering key, and the message in its request. */
const MESSAGE_OVERHEAD = 24;
const ATTRIBUTE_OVERHEAD = 10;
/** The topic's path. */
const REQUEST_OVERHEAD = 600;

const CONTENT_TYPE = "content-type";

/** A record key becomes the ordering key, where there is none and the key is text, and a content type, and the properties of AMQP that are text, attributes. */
export function adapt(foreign: MessageContent): MessageContent {
  const content = propertiesAsAttributes(foreign);
  const { orderingKey, contentType, key, attributes } = content;
  if (key === null && contentType === "") return content;
  const becomesOrderingKey = key !== null && orderingKey === "" && key.length > 0 && isUtf8(key);
  const becomesAttribute = contentType !== "" && attributes.every(({ name }) => name.toLowerCase() !== CONTENT_TYPE);
  return {
    ...content,
    key: becomesOrderingKey ? null : key,
    orderingKey: becomesOrderingKey ? Buffer.from(key).toString("utf8") : orderingKey,
    attributes: becomesAttribute ? [...attributes, stringAttribute(CONTENT_TYPE, contentType)] : attributes,
    contentType: becomesAttribute ? "" : contentType,
  };
}

/** Why Pub/Sub cannot carry `content` unaltered, naming the part; undefined where it can. */
export function cannotCarry(content: MessageContent): string | undefined {
  const { payloadKind, payload, attributes, system, key, orderingKey, contentType } = content;
  if (payloadKind !== "bytes") return `Pub/Sub has no payload of kind ${payloadKind}`;
  if (key !== null) return "Pub/Sub has no record key";
  if (system.length > 0) return `Pub/Sub has no system property ${shown((system[0] as Attribute).name)}`;
  if (contentType !== "") return "Pub/Sub has no content type";
  if (payload.length === 0 && attributes.length === 0) return "Pub/Sub takes no message with neither payload nor attributes";
  if (attributes.length > MAX_ATTRIBUTES) return `Pub/Sub takes ${MAX_ATTRIBUTES} attributes, not ${attributes.length}`;
  if (!orderingKey.isWellFormed()) return "Pub/Sub takes no ordering key with half a surrogate pair";
  if (exceeds(orderingKey, MAX_KEY_BYTES)) return `Pub/Sub takes ordering keys of up to ${MAX_KEY_BYTES} bytes`;
  return attributeFault(attributes) ?? sizeFault(content);
}

function attributeFault(attributes: readonly Attribute[]): string | undefined {
  const names = new Set<string>();
  for (const { name, kind, value } of attributes) {
    if (typeof value !== "string") return `Pub/Sub has no attribute of kind ${kind}, as ${shown(name)}`;
    if (name === "") return "Pub/Sub takes no attribute without a name";
    if (name.startsWith("goog")) return `Pub/Sub keeps names that begin with goog to itself, as ${shown(name)}`;
    if (exceeds(name, MAX_NAME_BYTES)) return `Pub/Sub takes names of up to ${MAX_NAME_BYTES} bytes, unlike ${shown(name)}`;
    if (exceeds(value, MAX_VALUE_BYTES)) return `Pub/Sub takes values of up to ${MAX_VALUE_BYTES} bytes, unlike that of ${shown(name)}`;
    if (!name.isWellFormed() || !value.isWellFormed()) return `Pub/Sub takes no half surrogate pair, as in the attribute ${shown(name)}`;
    if (names.has(name)) return `Pub/Sub takes a name once, not repeated as ${shown(name)}`;
    names.add(name);
  }
  return undefined;
}

/** Payload and attributes may each be within their limits, and the whole beyond that of a request. */
function sizeFault(content: MessageContent): string | undefined {
  if (requestBytesAtMost(content) + REQUEST_OVERHEAD <= MAX_REQUEST_BYTES) return undefined;
  const bytes = requestBytes(content) + REQUEST_OVERHEAD;
  return bytes <= MAX_REQUEST_BYTES
    ? undefined
    : `Pub/Sub takes requests of up to ${MAX_REQUEST_BYTES} bytes, and this message makes one of ${bytes}`;
}

/** Bytes that a message takes of a request, counted from above without looking at its text. */
export function requestBytesAtMost({ payload, attributes, orderingKey }: MessageContent): number {
  let bytes = MESSAGE_OVERHEAD + payload.length + 3 * orderingKey.length;
  for (const { name, value } of attributes) bytes += ATTRIBUTE_OVERHEAD + 3 * (name.length + value.length);
  return bytes;
}

function requestBytes({ payload, attributes, orderingKey }: MessageContent): number {
  let bytes = MESSAGE_OVERHEAD + payload.length + Buffer.byteLength(orderingKey);
  for (const { name, value } of attributes) bytes += ATTRIBUTE_OVERHEAD + Buffer.byteLength(name) + Buffer.byteLength(value as string);
  return bytes;
}

function exceeds(text: string, maxBytes: number): boolean {
  return text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes;
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 80));
}
