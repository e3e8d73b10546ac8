import { contentOf, DecodeError, describedAt, isNull, itemsAt, numberOf, section, string, textOf } from "./amqp-bytes.ts";

export const HEADER = 0x70;
export const DELIVERY_ANNOTATIONS = 0x71;
export const MESSAGE_ANNOTATIONS = 0x72;
const PROPERTIES = 0x73;
export const APPLICATION_PROPERTIES = 0x74;
const DATA = 0x75;
const LAST_SECTION = 0x78;

/** A section of a message, with its descriptor. */
interface Section {
  code: number;
  bytes: Buffer;
  valueAt: number;
}

/** An encoded message, taken apart as far as a broker must read it. */
export interface SentMessage {
  /** As it came. */
  bytes: Buffer;
  /** Items of the header: durable, priority, ttl, first-acquirer, delivery-count; as many as were sent. */
  header: readonly Buffer[];
  /** Keys and values in turn. */
  annotations: readonly Buffer[];
  /** The bare message, and the footer if there is one: its sections in their order, as they came. */
  bare: readonly Section[];
  /** Of the properties: the text, or the encoded bytes where it is none; undefined where none was sent. */
  messageId: string | undefined;
  /** Of the properties: what Service Bus calls the session. */
  sessionId: string | undefined;
  ttlMs: number | undefined;
}

/** Takes an encoded message apart. Throws DecodeError. */
export function takeApart(bytes: Buffer): SentMessage {
  let header: readonly Buffer[] = [];
  let annotations: readonly Buffer[] = [];
  let properties: readonly Buffer[] = [];
  const bare: Section[] = [];
  for (const section of sectionsOf(bytes)) {
    if (section.code === HEADER) header = itemsAt(section.bytes, section.valueAt);
    else if (section.code === MESSAGE_ANNOTATIONS) annotations = itemsAt(section.bytes, section.valueAt);
    else if (section.code !== DELIVERY_ANNOTATIONS) bare.push(section);
    if (section.code === PROPERTIES) properties = itemsAt(section.bytes, section.valueAt);
  }
  const [id, group] = [properties[0], properties[10]];
  return {
    bytes,
    header,
    annotations,
    bare,
    messageId: id === undefined || isNull(id) ? undefined : (textOf(id) ?? id.toString("latin1")),
    sessionId: textOf(group),
    ttlMs: numberOf(header[2]),
  };
}

function sectionsOf(bytes: Buffer): Section[] {
  const sections: Section[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { descriptor, valueAt, end } = describedAt(bytes, at);
    if (descriptor < HEADER || descriptor > LAST_SECTION) throw new DecodeError(`reading an AMQP message: no section ${descriptor}`);
    sections.push({ code: descriptor, bytes: bytes.subarray(at, end), valueAt: valueAt - at });
    at = end;
  }
  return sections;
}

/** The messages of a batch: each is the content of one of its data sections. Throws DecodeError. */
export function messagesOfBatch(bytes: Buffer): Buffer[] {
  return sectionsOf(bytes)
    .filter(({ code }) => code === DATA)
    .map((data) => contentOf(data.bytes.subarray(data.valueAt)));
}

/** What an annotation holds. */
export function annotationOf(annotations: readonly Buffer[], name: string): Buffer | undefined {
  for (let i = 0; i < annotations.length; i += 2) if (textOf(annotations[i]) === name) return annotations[i + 1];
  return undefined;
}

/** The same message with a message id, which it has none of. */
export function withMessageId(message: SentMessage, messageId: string): SentMessage {
  const at = message.bare.findIndex(({ code }) => code === PROPERTIES);
  const old = message.bare[at];
  const others = old ? itemsAt(old.bytes, old.valueAt).slice(1) : [];
  const bytes = section(PROPERTIES, "list", [string(messageId), ...others]);
  const properties = { code: PROPERTIES, bytes, valueAt: 3 };
  return { ...message, messageId, bare: old ? message.bare.with(at, properties) : [properties, ...message.bare] };
}

/** The same bare message with application properties set: keys and values in turn, which replace those of the same name. */
export function withApplicationProperties(bare: readonly Section[], changes: readonly Buffer[]): readonly Section[] {
  if (changes.length === 0) return bare;
  const at = bare.findIndex(({ code }) => code === APPLICATION_PROPERTIES);
  const old = bare[at];
  const items = replaced(old ? itemsAt(old.bytes, old.valueAt) : [], changes);
  const changed = { code: APPLICATION_PROPERTIES, bytes: section(APPLICATION_PROPERTIES, "map", items), valueAt: 3 };
  if (old) return bare.with(at, changed);
  const after = bare[0]?.code === PROPERTIES ? 1 : 0;
  return bare.toSpliced(after, 0, changed);
}

/** Items of a map with others set. */
export function replaced(items: readonly Buffer[], changes: readonly Buffer[]): Buffer[] {
  const names = new Set(changes.filter((_, i) => i % 2 === 0).map(textOf));
  const kept = items.filter((_, i) => !names.has(textOf(items[i - (i % 2)])));
  return [...kept, ...changes];
}
