import { isAscii } from "node:buffer";
import type { Attribute, MessageContent } from "../../../core/message.ts";
import {
  ANNOTATION_PREFIX,
  CONTENT_TYPE,
  DATA_LENGTHS,
  FOOTER,
  GROUP_ID,
  HEADER_FIELDS,
  type OrderingPart,
  PARTITION_KEY_ANNOTATION,
  PROPERTY_FIELDS,
} from "./sections.ts";
import { bufferOf, ENCODED_KIND, elementsOf, endOfValue, PAIR_KIND, valueFault } from "./types.ts";

export interface CarryingOptions {
  /** For messages: the broker's name. */
  product: string;
  orderingPart: OrderingPart;
  /** Longest ordering key, in characters. */
  maxOrderingKey: number;
}

const FIELD_NAMES: ReadonlySet<string> = new Set([...HEADER_FIELDS, ...PROPERTY_FIELDS]);

/** Why no AMQP message is read again as this very content, naming the part; undefined where one is. */
export function carryingFault(content: MessageContent, { product, orderingPart, maxOrderingKey }: CarryingOptions): string | undefined {
  const { key, orderingKey, contentType, attributes, system } = content;
  if (key !== null) return `${product} has no record key`;
  if (!orderingKey.isWellFormed()) return `${product} takes no ordering key with half a surrogate pair`;
  if (orderingKey.length > maxOrderingKey) return `${product} takes ordering keys of up to ${maxOrderingKey} characters`;
  if (contentType !== "" && !isAscii(Buffer.from(contentType))) return `${product} takes content types in ASCII`;
  const fault = bodyFault(content);
  if (fault !== undefined) return `${product} has no ${fault}`;
  return attributesFault(attributes, product) ?? systemFault(system, content, orderingPart, product);
}

function bodyFault({ payloadKind, payload, system }: MessageContent): string | undefined {
  if (payloadKind === "bytes") return undefined;
  if (payloadKind === "null") return payload.length === 0 ? undefined : "absent payload with bytes";
  const isWhole = payloadKind === "amqp-value" ? isOneValue(payload) : areLists(payload);
  return isWhole && system.every(({ name }) => name !== DATA_LENGTHS)
    ? undefined
    : `payload of kind ${payloadKind} like this one: it is not encoded as AMQP`;
}

function isOneValue(payload: Uint8Array): boolean {
  return parses(() => endOfValue(bufferOf(payload), 0) === payload.length);
}

function areLists(payload: Uint8Array): boolean {
  const bytes = bufferOf(payload);
  return parses(() => {
    let at = 0;
    while (at < bytes.length) at = elementsOf(bytes, at, false).end;
    return at > 0;
  });
}

function parses(test: () => boolean): boolean {
  try {
    return test();
  } catch {
    return false;
  }
}

function attributesFault(attributes: readonly Attribute[], product: string): string | undefined {
  const names = new Set<string>();
  for (const attribute of attributes) {
    const fault =
      entryFault(attribute, "", product) ??
      (names.has(attribute.name) ? `${product} takes a name once, not repeated as ${shown(attribute.name)}` : undefined);
    if (fault !== undefined) return fault;
    if (attribute.kind !== PAIR_KIND) names.add(attribute.name);
  }
  return undefined;
}

/** Of an entry in a map whose names begin with `prefix`. */
function entryFault({ name, kind, value }: Attribute, prefix: string, product: string): string | undefined {
  if (kind === PAIR_KIND)
    return name === prefix && isPair(value, prefix) ? undefined : `${product} has no attribute like ${shown(name)}, of kind ${kind}`;
  if (!name.isWellFormed()) return `${product} takes no half surrogate pair, as in the name of attribute ${shown(name)}`;
  const fault = valueFault({ kind, value });
  return fault === undefined ? undefined : `${product} has no attribute of ${fault}, as ${shown(name)}`;
}

const TEXT_KEYS: ReadonlySet<number | undefined> = new Set([0xa1, 0xb1]);
const SYMBOL_KEYS: ReadonlySet<number | undefined> = new Set([0xa3, 0xb3]);

/** Whether these bytes are a key that no name stands for, and a value. */
function isPair(value: string | Uint8Array, prefix: string): boolean {
  if (typeof value === "string") return false;
  const bytes = bufferOf(value);
  const named = prefix === "" ? TEXT_KEYS : SYMBOL_KEYS;
  return parses(() => !named.has(bytes[0]) && endOfValue(bytes, endOfValue(bytes, 0)) === bytes.length);
}

function systemFault(
  system: readonly Attribute[],
  content: MessageContent,
  orderingPart: OrderingPart,
  product: string,
): string | undefined {
  const names = new Set<string>();
  for (const property of system) {
    const { name, kind } = property;
    const fault = isKnown(property, content)
      ? entryFault(property, prefixOf(name), product)
      : `${product} has no system property ${shown(name)}`;
    if (fault !== undefined) return fault;
    if (kind !== PAIR_KIND && names.has(name)) return `${product} has the system property ${shown(name)} once`;
    if (isSaidTwice(property, content, orderingPart)) return `${product} has ${shown(name)} as its ordering key or content type alone`;
    names.add(name);
  }
  return undefined;
}

function prefixOf(name: string): string {
  return name.startsWith(ANNOTATION_PREFIX) ? ANNOTATION_PREFIX : "";
}

function isKnown({ name, kind, value }: Attribute, { payload, payloadKind, contentType }: MessageContent): boolean {
  if (name === DATA_LENGTHS) return payloadKind === "bytes" && kind === "binary" && areLengths(value as Uint8Array, payload.length);
  if (name === FOOTER) return kind === ENCODED_KIND && parses(() => elementsOf(bufferOf(value as Uint8Array), 0, true).count > 0);
  if (name === CONTENT_TYPE && contentType !== "") return false;
  if (name.startsWith(ANNOTATION_PREFIX)) return kind === PAIR_KIND || isAscii(Buffer.from(name));
  return FIELD_NAMES.has(name) && kind !== "null" && kind !== PAIR_KIND;
}

function areLengths(value: Uint8Array, payloadLength: number): boolean {
  const bytes = bufferOf(value);
  if (bytes.length < 8 || bytes.length % 4 !== 0) return false;
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 4) sum += bytes.readUInt32BE(i);
  return sum === payloadLength;
}

/** Whether it would be read again as the ordering key or the content type, or stands where that does. */
function isSaidTwice({ name, kind, value }: Attribute, { orderingKey }: MessageContent, orderingPart: OrderingPart): boolean {
  if (name === CONTENT_TYPE) return kind === "amqp:symbol" && value.length > 0 && isAscii(value as Uint8Array);
  const orderingName = orderingPart === "group-id" ? GROUP_ID : ANNOTATION_PREFIX + PARTITION_KEY_ANNOTATION;
  return name === orderingName && (orderingKey !== "" || (kind === "string" && value !== ""));
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 80));
}
