import { type Attribute, attributeBytes } from "../message.ts";
import { MAX_VARINT_BYTES, textBound, writeBigLong, writeBytes, writeLong, writeText, writeTime } from "./binary-writer.ts";
import { type StoredRecord, UNSAFE_MAP_NAME } from "./stored-record.ts";

/** An upper bound, in bytes, of what `writeRecord` writes. */
export function recordBound({ message, digest, pipeline }: StoredRecord): number {
  const texts =
    message.brokerMessageId.length + message.brokerId.length + message.topic.length + pipeline.length + message.partition.length;
  let bound = 20 * MAX_VARINT_BYTES + 3 * (texts + message.orderingKey.length + message.contentType.length + message.payloadKind.length);
  bound += message.payload.length + (message.key?.length ?? 0) + digest.length;
  for (const attribute of message.attributes) bound += propertyBound(attribute);
  for (const attribute of message.system) bound += propertyBound(attribute);
  return bound;
}

/**
 * Writes one record by RECORD_SCHEMA at `at` and returns its end. By hand, for this is the hot path: the buffer must have `recordBound`
 * bytes left.
 */
export function writeRecord(buffer: Buffer, start: number, record: StoredRecord): number {
  const { message, digest, ingestionTimeUs, pipeline } = record;
  const exact = exactAttributes(message.attributes);
  let at = writeText(buffer, start, message.brokerMessageId);
  at = writeBytes(buffer, at, message.payload);
  at = writeMap(buffer, at, message.attributes, exact);
  at = writeText(buffer, at, message.brokerId);
  at = writeText(buffer, at, message.topic);
  at = writeText(buffer, at, pipeline);
  at = writeText(buffer, at, message.partition);
  at = writeBigLong(buffer, at, message.sequence);
  at = writeTime(buffer, at, message.publishTimeUs);
  at = writeTime(buffer, at, ingestionTimeUs);
  at = writeText(buffer, at, message.orderingKey);
  buffer[at++] = message.key === null ? 0 : 1;
  at = writeBytes(buffer, at, message.key ?? NO_BYTES);
  at = writeText(buffer, at, message.contentType);
  at = writeText(buffer, at, message.payloadKind);
  at = writeBytes(buffer, at, digest);
  at = writeProperties(buffer, at, message.attributes, exact);
  return writeProperties(buffer, at, message.system, ALL);
}

const NO_BYTES = new Uint8Array(0);
/** Up to this many names are compared with one another; past it a set is quicker. */
const FEW_ATTRIBUTES = 12;

/** Which attributes go to the exact list: none, all, or those of these positions. */
type Exact = { readonly count: number; has(position: number): boolean } | null;

const ALL = { count: Number.POSITIVE_INFINITY, has: () => true };

function exactAttributes(attributes: readonly Attribute[]): Exact {
  if (fitsMap(attributes)) return null;
  const uses = new Map<string, number>();
  for (const { name } of attributes) uses.set(name, (uses.get(name) ?? 0) + 1);
  const positions = new Set<number>();
  attributes.forEach(({ name, kind }, position) => {
    if (kind !== "string" || name === UNSAFE_MAP_NAME || uses.get(name) !== 1) positions.add(position);
  });
  return { count: positions.size, has: (position) => positions.has(position) };
}

function fitsMap(attributes: readonly Attribute[]): boolean {
  for (const { name, kind } of attributes) if (kind !== "string" || name === UNSAFE_MAP_NAME) return false;
  if (attributes.length > FEW_ATTRIBUTES) return new Set(attributes.map(({ name }) => name)).size === attributes.length;
  for (let i = 1; i < attributes.length; i++) {
    const { name } = attributes[i] as Attribute;
    for (let j = 0; j < i; j++) if ((attributes[j] as Attribute).name === name) return false;
  }
  return true;
}

function writeMap(buffer: Buffer, start: number, attributes: readonly Attribute[], exact: Exact): number {
  const count = attributes.length - (exact?.count ?? 0);
  if (count === 0) return writeLong(buffer, start, 0);
  let at = writeLong(buffer, start, count);
  for (let i = 0; i < attributes.length; i++) {
    if (exact?.has(i)) continue;
    const { name, value } = attributes[i] as Attribute;
    at = writeText(buffer, at, name);
    at = writeText(buffer, at, value as string);
  }
  return writeLong(buffer, at, 0);
}

function writeProperties(buffer: Buffer, start: number, attributes: readonly Attribute[], exact: Exact): number {
  const count = Math.min(exact?.count ?? 0, attributes.length);
  if (exact === null || count === 0) return writeLong(buffer, start, 0);
  let at = writeLong(buffer, start, count);
  for (let i = 0; i < attributes.length; i++) {
    if (!exact.has(i)) continue;
    const attribute = attributes[i] as Attribute;
    at = writeText(buffer, at, attribute.name);
    at = writeText(buffer, at, attribute.kind);
    at = writeBytes(buffer, at, attributeBytes(attribute));
    at = writeLong(buffer, at, i);
  }
  return writeLong(buffer, at, 0);
}

function propertyBound({ name, kind, value }: Attribute): number {
  return textBound(name) + textBound(kind) + 3 * value.length + 2 * MAX_VARINT_BYTES;
}
