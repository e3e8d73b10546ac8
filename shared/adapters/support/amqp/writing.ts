import { type Attribute, type MessageContent, stringAttribute } from "../../../core/message.ts";
import {
  ANNOTATION_PREFIX,
  CONTENT_TYPE,
  DATA_LENGTHS,
  FOOTER,
  GROUP_ID,
  HEADER_FIELDS,
  MESSAGE_ID,
  type OrderingPart,
  PARTITION_KEY_ANNOTATION,
  PROPERTY_FIELDS,
  SECTION,
} from "./sections.ts";
import { bufferOf, endOfValue, PAIR_KIND, valueBound, writeSized, writeSymbol, writeText, writeValue } from "./types.ts";

/** Content in the order and under the names of AMQP's sections. */
interface Sections {
  header: ReadonlyMap<string, Attribute>;
  annotations: readonly Attribute[];
  properties: ReadonlyMap<string, Attribute>;
  attributes: readonly Attribute[];
  footer: Attribute | undefined;
  dataLengths: Attribute | undefined;
}

export interface WritingOptions {
  orderingPart: OrderingPart;
}

/** Codes of what is written, in the form that holds any length. */
const SMALL_ULONG = 0x53;
const LIST_32 = 0xd0;
const MAP_32 = 0xd1;
const NULL = 0x40;
const BINARY_8 = 0xa0;
const DESCRIPTOR_BYTES = 3;
/** Descriptor, code, length and count of a section. */
const SECTION_BYTES = 12;
/** Of a message, and with them the fields that are not set. */
const SECTIONS = 10;
/** Code and length of a text. */
const TEXT_BYTES = 5;
const NONE: ReadonlyMap<string, Attribute> = new Map();

/**
 * Encodes a message of which `carryingFault` has nothing to say. `messageId` is given to it where it has none of its own.
 */
export function writeMessage(content: MessageContent, { orderingPart }: WritingOptions, messageId?: string): Buffer {
  const sections = sectionsOf(content, orderingPart, messageId);
  const out = Buffer.allocUnsafe(messageBound(content, messageId));
  let at = 0;
  if (sections.header.size > 0) at = writeFields(SECTION.header, HEADER_FIELDS, sections.header, out, at);
  at = writeEnvelopeSections(sections, out, at);
  if (sections.attributes.length > 0) at = writeMap(SECTION.applicationProperties, sections.attributes, 0, out, at);
  at = writeBody(content, sections.dataLengths, out, at);
  if (sections.footer) at = writeValue(sections.footer, out, writeDescriptor(SECTION.footer, out, at));
  return out.subarray(0, at);
}

/**
 * Encodes several messages as one batch (message format 0x80013700): a data section each, behind what a broker looks at of the first one to choose
 * a partition.
 */
export function writeBatch(encoded: readonly Uint8Array[], first: MessageContent, { orderingPart }: WritingOptions): Buffer {
  const sections = sectionsOf(first, orderingPart, undefined);
  const bytes = encoded.reduce((sum, { length }) => sum + length + BATCHED_BYTES, envelopeBytes(first));
  const out = Buffer.allocUnsafe(bytes);
  let at = writeEnvelopeSections(sections, out, 0);
  for (const message of encoded) at = writeSized(message, out, writeDescriptor(SECTION.data, out, at), BINARY_8);
  return out.subarray(0, at);
}

/** What a batch adds to each of its messages, at most. */
export const BATCHED_BYTES = SECTION_BYTES;

/** What a batch adds to its messages together, at most. */
export function envelopeBytes(first: MessageContent): number {
  return messageBound({ ...first, payload: NO_BYTES, attributes: [] });
}

const NO_BYTES = new Uint8Array(0);

function sectionsOf(content: MessageContent, orderingPart: OrderingPart, messageId: string | undefined): Sections {
  const { system, orderingKey, contentType } = content;
  const annotations = system.filter(({ name }) => name.startsWith(ANNOTATION_PREFIX));
  const byName = system.length === 0 ? NONE : new Map(system.map((attribute) => [attribute.name, attribute]));
  const properties = new Map<string, Attribute>();
  for (const name of PROPERTY_FIELDS) {
    const property = byName.get(name);
    if (property) properties.set(name, property);
  }
  if (messageId !== undefined && !properties.has(MESSAGE_ID)) properties.set(MESSAGE_ID, stringAttribute(MESSAGE_ID, messageId));
  if (contentType !== "")
    properties.set(CONTENT_TYPE, { name: CONTENT_TYPE, kind: "amqp:symbol", value: Buffer.from(contentType, "latin1") });
  if (orderingKey !== "") {
    if (orderingPart === "group-id") properties.set(GROUP_ID, stringAttribute(GROUP_ID, orderingKey));
    else annotations.push(stringAttribute(ANNOTATION_PREFIX + PARTITION_KEY_ANNOTATION, orderingKey));
  }
  const header = new Map(HEADER_FIELDS.flatMap((name) => (byName.has(name) ? [[name, byName.get(name) as Attribute] as const] : [])));
  return {
    header,
    annotations,
    properties,
    attributes: content.attributes,
    footer: byName.get(FOOTER),
    dataLengths: byName.get(DATA_LENGTHS),
  };
}

/** Bytes that a message takes at most. */
function messageBound({ payloadKind, payload, attributes, system, orderingKey, contentType }: MessageContent, messageId = ""): number {
  let bytes = SECTIONS * SECTION_BYTES + 3 * (orderingKey.length + contentType.length + messageId.length) + 3 * TEXT_BYTES;
  for (const entry of attributes) bytes += entryBound(entry);
  for (const entry of system) {
    bytes += entryBound(entry);
    if (entry.name === DATA_LENGTHS) bytes += SECTION_BYTES * (entry.value.length / 4);
  }
  // A body of many lists has a descriptor for each.
  return bytes + payload.length * (payloadKind === "amqp-sequence" ? 1 + DESCRIPTOR_BYTES : 1);
}

function entryBound(entry: Attribute): number {
  return TEXT_BYTES + 3 * entry.name.length + valueBound(entry);
}

function writeEnvelopeSections({ annotations, properties }: Sections, out: Buffer, start: number): number {
  let at = start;
  if (annotations.length > 0) at = writeMap(SECTION.messageAnnotations, annotations, ANNOTATION_PREFIX.length, out, at);
  if (properties.size > 0) at = writeFields(SECTION.properties, PROPERTY_FIELDS, properties, out, at);
  return at;
}

function writeDescriptor(code: number, out: Buffer, at: number): number {
  out[at] = 0x00;
  out[at + 1] = SMALL_ULONG;
  out[at + 2] = code;
  return at + DESCRIPTOR_BYTES;
}

/** Writes code, length and count of what `write` puts behind them; that returns where it ends. */
function writeCompound(code: number, count: number, out: Buffer, at: number, write: (at: number) => number): number {
  const end = write(at + 9);
  out[at] = code;
  out.writeUInt32BE(end - at - 5, at + 1);
  out.writeUInt32BE(count, at + 5);
  return end;
}

function writeFields(section: number, names: readonly string[], fields: ReadonlyMap<string, Attribute>, out: Buffer, at: number): number {
  const count = names.findLastIndex((name) => fields.has(name)) + 1;
  return writeCompound(LIST_32, count, out, writeDescriptor(section, out, at), (first) => {
    let next = first;
    for (const name of names.slice(0, count)) {
      const field = fields.get(name);
      if (field) next = writeValue(field, out, next);
      else out[next++] = NULL;
    }
    return next;
  });
}

/** `cut`: characters of each name that are not part of the key; keys are symbols where there are such, else text. */
function writeMap(section: number, entries: readonly Attribute[], cut: number, out: Buffer, at: number): number {
  return writeCompound(MAP_32, 2 * entries.length, out, writeDescriptor(section, out, at), (first) => {
    let next = first;
    for (const entry of entries) {
      if (entry.kind !== PAIR_KIND) next = cut > 0 ? writeSymbol(entry.name.slice(cut), out, next) : writeText(entry.name, out, next);
      next = writeValue(entry, out, next);
    }
    return next;
  });
}

function writeBody({ payloadKind, payload }: MessageContent, dataLengths: Attribute | undefined, out: Buffer, start: number): number {
  let at = start;
  if (payloadKind === "null") return at;
  if (payloadKind === "bytes") {
    for (const piece of piecesOf(payload, dataLengths)) at = writeSized(piece, out, writeDescriptor(SECTION.data, out, at), BINARY_8);
    return at;
  }
  const bytes = bufferOf(payload);
  for (let from = 0; from < bytes.length; ) {
    const to = endOfValue(bytes, from);
    at = writeDescriptor(payloadKind === "amqp-value" ? SECTION.value : SECTION.sequence, out, at);
    out.set(bytes.subarray(from, to), at);
    at += to - from;
    from = to;
  }
  return at;
}

/** The data sections' contents: all of it, or as the lengths say. */
function* piecesOf(payload: Uint8Array, lengths: Attribute | undefined): Generator<Uint8Array> {
  if (!lengths) {
    yield payload;
    return;
  }
  const bytes = bufferOf(lengths.value as Uint8Array);
  let from = 0;
  for (let i = 0; i < bytes.length; i += 4) {
    const to = from + bytes.readUInt32BE(i);
    yield payload.subarray(from, to);
    from = to;
  }
}
