import { type Attribute, booleanAttribute, doubleAttribute, longAttribute, nullAttribute, stringAttribute } from "../../core/message.ts";

/*
 * What the Node worker of Azure Functions makes of a trigger's metadata: texts that look like JSON are parsed, whole numbers of 64 bits are
 * numbers (rounded above 2^53) or {low, high, unsigned}, lists may be missing.
 */

/** The list of this name; empty where there is none. */
export function metadataList(metadata: Readonly<Record<string, unknown>>, name: string): readonly unknown[] {
  const list = metadata[name];
  return Array.isArray(list) ? list : [];
}

/** A text that may have been parsed: what JSON would have been, as text again. */
export function metadataText(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** A whole number of 64 bits, and whether it is the very one that was sent. */
export function metadataWhole(value: unknown): { value: bigint; isExact: boolean } {
  if (Number.isFinite(value)) return { value: BigInt(Math.trunc(value as number)), isExact: Number.isSafeInteger(value) };
  if (typeof value === "string" && /^-?\d{1,19}$/.test(value)) return { value: BigInt(value), isExact: true };
  const { low, high } = (value ?? {}) as { low?: unknown; high?: unknown };
  if (typeof low === "number" && typeof high === "number") return { value: (BigInt(high) << 32n) | BigInt(low >>> 0), isExact: true };
  return { value: 0n, isExact: false };
}

const HAS_ZONE = /(?:Z|[+-]\d\d:?\d\d)$/i;

/** Milliseconds since 1970 of a time that may lack its zone, which is UTC; 0 where it is none. */
export function metadataMillis(value: unknown): number {
  const text = metadataText(value);
  const ms = Date.parse(HAS_ZONE.test(text) ? text : `${text}Z`);
  return Number.isFinite(ms) ? ms : 0;
}

/** A property as near to what was sent as its JSON tells. */
export function metadataAttribute(name: string, value: unknown): Attribute {
  switch (typeof value) {
    case "string":
      return stringAttribute(name, value);
    case "boolean":
      return booleanAttribute(name, value);
    case "number":
      return Number.isSafeInteger(value) ? longAttribute(name, BigInt(value)) : doubleAttribute(name, value);
    default:
      return value === null || value === undefined ? nullAttribute(name) : stringAttribute(name, JSON.stringify(value));
  }
}
