import { type Attribute, binaryAttribute, type MessageContent, type PayloadKind, stringAttribute } from "../../../core/message.ts";
import {
  ANNOTATION_PREFIX,
  CONTENT_TYPE,
  DATA_LENGTHS,
  DELIVERY_COUNT_POSITION,
  FOOTER,
  GROUP_ID,
  HEADER_FIELDS,
  type OrderingPart,
  PARTITION_KEY_ANNOTATION,
  PROPERTY_FIELDS,
  SECTION,
  UNREADABLE,
} from "./sections.ts";
import { attributeAt, BadAmqp, binaryAt, ENCODED_KIND, elementsOf, endOfValue, PAIR_KIND, textAt, wholeNumberAt } from "./types.ts";

/** A message, and what its broker says of it. */
export interface ReadMessage {
  content: MessageContent;
  /** Annotations that the broker sets, by name. */
  broker: ReadonlyMap<string, bigint | string>;
  /** Failed deliveries before this one. */
  deliveryCount: number;
}

export interface ReadingOptions {
  orderingPart: OrderingPart;
  /** Names of the annotations that the broker sets itself: they are its message's identity and times, not content. */
  brokerAnnotations: ReadonlySet<string>;
}

interface Body {
  kind: PayloadKind;
  pieces: Buffer[];
}

/** What the broker may change from delivery to delivery, and what it says of a message; the bare message begins at `end`. */
interface Envelope {
  end: number;
  system: Attribute[];
  broker: Map<string, bigint | string>;
  deliveryCount: number;
}

/**
 * Makes a reader of encoded AMQP messages. Payloads and binary attributes are views into the given bytes. One that is no AMQP, or whose bare message is
 * none, is kept whole as the payload, with the reason in a system property `amqp:unreadable`: it is stored like any other.
 */
export function createMessageReading({ orderingPart, brokerAnnotations }: ReadingOptions): (bytes: Buffer) => ReadMessage {
  return (bytes) => {
    const envelope = readEnvelope(bytes, brokerAnnotations);
    const { broker, deliveryCount } = envelope;
    return { content: readContent(bytes, envelope, orderingPart), broker, deliveryCount };
  };
}

/** As far as it can be read. */
function readEnvelope(bytes: Buffer, brokerAnnotations: ReadonlySet<string>): Envelope {
  const envelope: Envelope = { end: 0, system: [], broker: new Map(), deliveryCount: 0 };
  const { system, broker } = envelope;
  let whole = 0;
  try {
    while (envelope.end < bytes.length) {
      const { code, valueAt } = sectionAt(bytes, envelope.end);
      const end = endOfValue(bytes, valueAt);
      if (code === SECTION.header) envelope.deliveryCount = readHeader(bytes, valueAt, system);
      else if (code === SECTION.messageAnnotations) readAnnotations(bytes, valueAt, brokerAnnotations, broker, system);
      else if (code !== SECTION.deliveryAnnotations) break;
      envelope.end = end;
      whole = system.length;
    }
  } catch (error) {
    if (!(error instanceof BadAmqp)) throw error;
    system.length = whole;
  }
  return envelope;
}

function readContent(bytes: Buffer, { end, system }: Envelope, orderingPart: OrderingPart): MessageContent {
  try {
    return readBare(bytes, end, [...system], orderingPart);
  } catch (error) {
    if (!(error instanceof BadAmqp)) throw error;
    const body: Body = { kind: "bytes", pieces: [bytes.subarray(end)] };
    return contentOf([...system, stringAttribute(UNREADABLE, error.message)], [], body, orderingPart);
  }
}

function readBare(bytes: Buffer, from: number, system: Attribute[], orderingPart: OrderingPart): MessageContent {
  const body: Body = { kind: "null", pieces: [] };
  let attributes: Attribute[] = [];
  for (let at = from; at < bytes.length; ) {
    const { code, valueAt } = sectionAt(bytes, at);
    at = endOfValue(bytes, valueAt);
    if (code === SECTION.properties) readFields(bytes, valueAt, PROPERTY_FIELDS, system);
    else if (code === SECTION.applicationProperties) attributes = readMap(bytes, valueAt, "");
    else if (code === SECTION.footer) readFooter(bytes, valueAt, at, system);
    else readBody(bytes, code, valueAt, at, body);
  }
  return contentOf(system, attributes, body, orderingPart);
}

/** The section that begins at `at`: its code, and where its value begins. Throws BadAmqp where none does. */
export function sectionAt(bytes: Buffer, at: number): { code: number; valueAt: number } {
  if (bytes[at] !== 0x00) throw new BadAmqp("an AMQP message has something that is no section");
  const code = wholeNumberAt(bytes, at + 1);
  const valueAt = endOfValue(bytes, at + 1);
  if (code === undefined || code < SECTION.header || code > SECTION.footer) throw new BadAmqp("an AMQP message has an unknown section");
  return { code: Number(code), valueAt };
}

function readHeader(bytes: Buffer, valueAt: number, system: Attribute[]): number {
  const countAt = readFields(bytes, valueAt, HEADER_FIELDS, system)[DELIVERY_COUNT_POSITION];
  return countAt === undefined ? 0 : Number(wholeNumberAt(bytes, countAt) ?? 0n);
}

/** Adds the fields that are set to `system`; returns where each begins. */
function readFields(bytes: Buffer, valueAt: number, names: readonly string[], system: Attribute[]): number[] {
  const starts: number[] = [];
  const elements = elementsOf(bytes, valueAt, false);
  let { at } = elements;
  for (let left = elements.count; left > 0; left--) {
    const end = endOfValue(bytes, at);
    const name = names[starts.length];
    starts.push(at);
    if (name !== undefined && bytes[at] !== NULL) system.push(attributeAt(name, bytes, at, end));
    at = end;
  }
  checkEnd(at, elements.end);
  return starts;
}

const NULL = 0x40;

function readAnnotations(
  bytes: Buffer,
  valueAt: number,
  brokerAnnotations: ReadonlySet<string>,
  broker: Map<string, bigint | string>,
  system: Attribute[],
): void {
  forEachEntry(bytes, valueAt, (keyAt, at, end) => {
    const name = textAt(bytes, keyAt);
    if (name === undefined || !brokerAnnotations.has(name)) {
      system.push(entryAttribute(bytes, keyAt, at, end, ANNOTATION_PREFIX));
      return;
    }
    const value = wholeNumberAt(bytes, at) ?? textAt(bytes, at);
    if (value !== undefined) broker.set(name, value);
  });
}

function readMap(bytes: Buffer, valueAt: number, prefix: string): Attribute[] {
  const attributes: Attribute[] = [];
  forEachEntry(bytes, valueAt, (keyAt, at, end) => attributes.push(entryAttribute(bytes, keyAt, at, end, prefix)));
  return attributes;
}

function forEachEntry(bytes: Buffer, valueAt: number, use: (keyAt: number, at: number, end: number) => void): void {
  const { at: first, count, end: mapEnd } = elementsOf(bytes, valueAt, true);
  if (count % 2 !== 0) throw new BadAmqp("an AMQP map has a key without a value");
  let keyAt = first;
  for (let left = count / 2; left > 0; left--) {
    const at = endOfValue(bytes, keyAt);
    const end = endOfValue(bytes, at);
    use(keyAt, at, end);
    keyAt = end;
  }
  checkEnd(keyAt, mapEnd);
}

function checkEnd(at: number, end: number): void {
  if (at !== end) throw new BadAmqp("an AMQP list or map has another length than its elements");
}

const STRING_CODES: ReadonlySet<number | undefined> = new Set([0xa1, 0xb1]);
const SYMBOL_CODES: ReadonlySet<number | undefined> = new Set([0xa3, 0xb3]);

/** Keys are text in application properties and symbols in annotations; any other is kept with its value, encoded. */
function entryAttribute(bytes: Buffer, keyAt: number, at: number, end: number, prefix: string): Attribute {
  const codes = prefix === "" ? STRING_CODES : SYMBOL_CODES;
  const name = codes.has(bytes[keyAt]) ? textAt(bytes, keyAt) : undefined;
  return name === undefined
    ? { name: prefix, kind: PAIR_KIND, value: bytes.subarray(keyAt, end) }
    : attributeAt(prefix + name, bytes, at, end);
}

function readFooter(bytes: Buffer, valueAt: number, end: number, system: Attribute[]): void {
  if (elementsOf(bytes, valueAt, true).count > 0) system.push({ name: FOOTER, kind: ENCODED_KIND, value: bytes.subarray(valueAt, end) });
}

const BODY_KINDS: Readonly<Record<number, PayloadKind>> = {
  [SECTION.data]: "bytes",
  [SECTION.value]: "amqp-value",
  [SECTION.sequence]: "amqp-sequence",
};

function readBody(bytes: Buffer, code: number, valueAt: number, end: number, body: Body): void {
  const kind = BODY_KINDS[code];
  if (kind === undefined) throw new BadAmqp("an AMQP message has its sections in another order");
  if (body.pieces.length > 0 && (body.kind !== kind || kind === "amqp-value")) throw new BadAmqp("an AMQP message has two bodies");
  body.kind = kind;
  body.pieces.push(kind === "bytes" ? binaryAt(bytes, valueAt) : bytes.subarray(valueAt, end));
}

/** Moves what every broker has out of the system properties. */
function contentOf(system: Attribute[], attributes: Attribute[], { kind, pieces }: Body, orderingPart: OrderingPart): MessageContent {
  if (kind === "bytes" && pieces.length > 1) system.push(binaryAttribute(DATA_LENGTHS, lengthsOf(pieces)));
  const orderingName = orderingPart === "group-id" ? GROUP_ID : ANNOTATION_PREFIX + PARTITION_KEY_ANNOTATION;
  return {
    payloadKind: kind,
    payload: pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces),
    attributes,
    contentType: takeContentType(system),
    orderingKey: takeText(system, orderingName),
    key: null,
    system,
  };
}

function lengthsOf(pieces: readonly Buffer[]): Buffer {
  const lengths = Buffer.alloc(4 * pieces.length);
  for (const [i, { length }] of pieces.entries()) lengths.writeUInt32BE(length, 4 * i);
  return lengths;
}

/** A content type is a symbol; what has another type, or is empty, stays a system property. */
function takeContentType(system: Attribute[]): string {
  const position = system.findIndex(
    ({ name, kind, value }) => name === CONTENT_TYPE && kind === "amqp:symbol" && isAscii(value as Uint8Array),
  );
  if (position < 0) return "";
  const [{ value }] = system.splice(position, 1) as [Attribute];
  return Buffer.from(value as Uint8Array).toString("latin1");
}

function isAscii(bytes: Uint8Array): boolean {
  return bytes.length > 0 && bytes.every((byte) => byte <= 0x7f);
}

function takeText(system: Attribute[], wanted: string): string {
  const position = system.findIndex(({ name, kind, value }) => name === wanted && kind === "string" && value !== "");
  if (position < 0) return "";
  const [{ value }] = system.splice(position, 1) as [Attribute];
  return value as string;
}
