import rhea, { type Typed } from "rhea";
import { describedAt } from "../../service-bus/amqp-bytes.ts";
import { ticksToMs, utcText } from "../dotnet.ts";

/** A message taken apart: the values as the .NET SDKs hand them over. */
export interface DecodedMessage {
  header: { deliveryCount: number; ttlMs: number | undefined };
  annotations: ReadonlyMap<string, unknown>;
  properties: MessageProperties;
  applicationProperties: ReadonlyMap<string, unknown>;
  body: { kind: "data"; bytes: Buffer } | { kind: "value"; value: unknown } | { kind: "sequence" };
}

export interface MessageProperties {
  messageId?: string;
  userId?: Buffer;
  to?: string;
  subject?: string;
  replyTo?: string;
  correlationId?: string;
  contentType?: string;
  absoluteExpiryMs?: number;
  groupId?: string;
  replyToGroupId?: string;
}

const HEADER = 0x70;
const DELIVERY_ANNOTATIONS = 0x71;
const MESSAGE_ANNOTATIONS = 0x72;
const PROPERTIES = 0x73;
const APPLICATION_PROPERTIES = 0x74;
const DATA = 0x75;
const SEQUENCE = 0x76;
const VALUE = 0x77;
const TIMESPAN_TICKS_PER_S = 10_000_000n;

interface Section {
  descriptor: number;
  bytes: Buffer;
  value: Buffer;
}

/** The sections of an encoded message, in their order. */
function sectionsOf(bytes: Buffer): Section[] {
  const sections: Section[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { descriptor, valueAt, end } = describedAt(bytes, at);
    sections.push({ descriptor, bytes: bytes.subarray(at, end), value: bytes.subarray(valueAt, end) });
    at = end;
  }
  return sections;
}

export function decodeMessage(bytes: Buffer): DecodedMessage {
  const sections = sectionsOf(bytes);
  const readSection = (descriptor: number) => {
    const found = sections.find((section) => section.descriptor === descriptor);
    return found && read(found.value);
  };
  const header = listOf(readSection(HEADER));
  return {
    header: { deliveryCount: Number(header[4] ?? 0), ttlMs: header[2] === undefined || header[2] === null ? undefined : Number(header[2]) },
    annotations: mapOf(readSection(MESSAGE_ANNOTATIONS)),
    properties: propertiesOf(listOf(readSection(PROPERTIES))),
    applicationProperties: mapOf(readSection(APPLICATION_PROPERTIES)),
    body: bodyOf(sections),
  };
}

/** Several data sections are one body to .NET. */
function bodyOf(sections: readonly Section[]): DecodedMessage["body"] {
  const value = sections.find(({ descriptor }) => descriptor === VALUE);
  if (value) return { kind: "value", value: netValue(read(value.value)) };
  if (sections.some(({ descriptor }) => descriptor === SEQUENCE)) return { kind: "sequence" };
  const data = sections.filter(({ descriptor }) => descriptor === DATA).map(({ value }) => (read(value) as Typed).value as Buffer);
  return { kind: "data", bytes: data.length === 1 ? (data[0] as Buffer) : Buffer.concat(data) };
}

function propertiesOf(list: readonly unknown[]): MessageProperties {
  const text = (i: number) => (list[i] === undefined || list[i] === null ? undefined : String(list[i]));
  const fields = {
    messageId: text(0),
    to: text(2),
    subject: text(3),
    replyTo: text(4),
    correlationId: text(5),
    contentType: text(6),
    absoluteExpiryMs: typeof list[8] === "string" ? Date.parse(list[8]) : undefined,
    groupId: text(10),
    replyToGroupId: text(12),
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

const read = (bytes: Buffer): unknown =>
  new (rhea.types as unknown as { Reader: new (bytes: Buffer) => { read(): unknown } }).Reader(bytes).read();

const listOf = (value: unknown): unknown[] => ((value as Typed | undefined)?.value ?? []).map(netValue);

function mapOf(value: unknown): Map<string, unknown> {
  const items = ((value as Typed | undefined)?.value ?? []) as unknown[];
  const map = new Map<string, unknown>();
  for (let i = 0; i < items.length; i += 2) map.set(String(netValue(items[i])), netValue(items[i + 1]));
  return map;
}

/** An AMQP value as .NET has it, and Newtonsoft writes it: 64-bit integers as bigint, times and GUIDs as text, binary as base64. */
export function netValue(typed: unknown): unknown {
  const { type, value, descriptor } = (typed ?? {}) as Typed & { type?: { name?: string }; descriptor?: Typed };
  if (descriptor !== undefined) return describedValue(String((descriptor as Typed).value), netValue({ type, value }));
  const name = (typeof type === "object" ? (type as { name?: string }).name : String(type)) ?? "";
  if (value === undefined || value === null) return null;
  if (name.startsWith("Uuid")) return uuidText(value as Buffer);
  if (name.startsWith("Timestamp")) return utcText(Number(value));
  if (/^(Small)?(Ulong|Long)/.test(name)) return integer(value, name);
  if (name.startsWith("Vbin")) return (value as Buffer).toString("base64");
  if (Array.isArray(value)) return value.map(netValue);
  if (name === "CharUTF32") return String.fromCodePoint(Number(value));
  return Buffer.isBuffer(value) ? value.toString("base64") : value;
}

function integer(value: unknown, name: string): bigint {
  if (!Buffer.isBuffer(value)) return BigInt(value as number);
  return name.includes("Ulong") ? value.readBigUInt64BE(0) : value.readBigInt64BE(0);
}

/** Types that .NET's SDKs describe by symbols of their own. */
function describedValue(descriptor: string, value: unknown): unknown {
  const ticks = typeof value === "bigint" ? value : BigInt(Number(value ?? 0));
  if (descriptor === "com.microsoft:timespan") return timeSpanText(ticks);
  if (descriptor === "com.microsoft:datetime-offset") return utcText(ticksToMs(ticks)).replace(/Z$/, "+00:00");
  return value;
}

function timeSpanText(ticks: bigint): string {
  const seconds = ticks / TIMESPAN_TICKS_PER_S;
  const two = (value: bigint) => String(value).padStart(2, "0");
  const days = seconds / 86_400n;
  const fraction = ticks % TIMESPAN_TICKS_PER_S;
  const time = `${two((seconds / 3_600n) % 24n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}`;
  return `${days > 0n ? `${days}.` : ""}${time}${fraction > 0n ? `.${String(fraction).padStart(7, "0")}` : ""}`;
}

const uuidText = (bytes: Buffer): string => bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");

/** The message's bytes with other delivery annotations, behind its header, where a broker puts them. */
export function withDeliveryAnnotations(bytes: Buffer, annotations: Buffer): Buffer {
  const sections = sectionsOf(bytes).filter(({ descriptor }) => descriptor !== DELIVERY_ANNOTATIONS);
  const header = sections.filter(({ descriptor }) => descriptor === HEADER);
  const rest = sections.filter(({ descriptor }) => descriptor !== HEADER);
  return Buffer.concat([...header.map(({ bytes }) => bytes), annotations, ...rest.map(({ bytes }) => bytes)]);
}
