import { InvalidInput } from "../../core/errors.ts";
import { indexedValueOf } from "../../core/index-record.ts";
import {
  type Attribute,
  attributeBytes,
  binaryAttribute,
  booleanAttribute,
  doubleAttribute,
  longAttribute,
  nullAttribute,
  stringAttribute,
} from "../../core/message.ts";

/*
 * Attributes in JSON: an object, name to value; a list of values repeats the name. Text, whole and broken numbers, booleans and null stand for
 * themselves, {"$binary": base64} for bytes. What JSON would not give back exactly, such as a long past 2^53, a double without a fraction or
 * a kind of another broker, is {"$kind": kind, "$value": base64 of its bytes}.
 */

/** A value in JSON form. */
export type WireValue =
  | string
  | number
  | boolean
  | null
  | { readonly $binary: string }
  | { readonly $kind: string; readonly $value: string };
export type WireAttributes = Record<string, WireValue | readonly WireValue[]>;

/** How many bytes a kind has; kinds that are missing here may have any number. */
const BYTES_OF: ReadonlyMap<string, number> = new Map([
  ["null", 0],
  ["boolean", 1],
  ["long", 8],
  ["double", 8],
  ["timestamp", 8],
]);
const KIND = /^[a-z][a-z0-9:._-]{0,63}$/;

/** The attributes that a JSON object stands for, in its order. Throws InvalidInput naming the place below `path`. */
export function attributesOf(value: unknown, path: string): Attribute[] {
  if (!isObject(value)) throw fault(path, "must be an object of names and values");
  const attributes: Attribute[] = [];
  for (const name of Object.keys(value)) {
    if (!name.isWellFormed()) throw fault(`${path}.${name.toWellFormed()}`, "has half of a character (a lone surrogate) in its name");
    const held = value[name];
    if (!Array.isArray(held)) attributes.push(attributeOf(name, held, path));
    else for (const [position, repeat] of held.entries()) attributes.push(attributeOf(name, repeat, path, position));
  }
  return attributes;
}

function attributeOf(name: string, value: unknown, path: string, position?: number): Attribute {
  switch (typeof value) {
    case "string":
      if (value.isWellFormed()) return stringAttribute(name, value);
      throw fault(placeOf(path, name, position), "holds half of a character (a lone surrogate); send bytes as $binary");
    case "number":
      return Number.isSafeInteger(value) && !Object.is(value, -0) ? longAttribute(name, BigInt(value)) : doubleAttribute(name, value);
    case "boolean":
      return booleanAttribute(name, value);
    default:
      return value === null ? nullAttribute(name) : taggedAttribute(name, value, placeOf(path, name, position));
  }
}

function taggedAttribute(name: string, value: unknown, place: string): Attribute {
  if (isObject(value)) {
    const keys = Object.keys(value).sort().join();
    if (keys === "$binary") return binaryAttribute(name, base64Bytes(value.$binary, `${place}.$binary`));
    if (keys === "$kind,$value") return kindAttribute(name, value.$kind, base64Bytes(value.$value, `${place}.$value`), place);
  }
  throw fault(place, 'must be text, a number, true, false, null, {"$binary": base64}, or a list of those');
}

function kindAttribute(name: string, kind: unknown, value: Buffer, place: string): Attribute {
  if (typeof kind !== "string" || !KIND.test(kind) || kind === "string")
    throw fault(`${place}.$kind`, "is no kind of attribute that is held as bytes");
  const bytes = BYTES_OF.get(kind);
  if (bytes !== undefined && value.length !== bytes) throw fault(`${place}.$value`, `must be ${bytes} bytes for the kind ${kind}`);
  if (kind === "boolean" && (value[0] as number) > 1) throw fault(`${place}.$value`, "must be the byte 0 or 1 for the kind boolean");
  return { name, kind, value };
}

/** Attributes as a JSON object; `attributesOf` makes the same attributes of it, but for the order among different names. */
export function wireAttributesOf(attributes: readonly Attribute[]): WireAttributes {
  const byName = new Map<string, WireValue[]>();
  for (const attribute of attributes) {
    const values = byName.get(attribute.name);
    if (values) values.push(wireValueOf(attribute));
    else byName.set(attribute.name, [wireValueOf(attribute)]);
  }
  // fromEntries makes a field of `__proto__` too.
  return Object.fromEntries([...byName].map(([name, values]) => [name, values.length === 1 ? (values[0] as WireValue) : values]));
}

function wireValueOf(attribute: Attribute): WireValue {
  if (typeof attribute.value === "string") return attribute.value;
  if (attribute.kind === "binary") return { $binary: base64Of(attribute.value) };
  if (attribute.kind === "null" || attribute.kind === "boolean") return indexedValueOf(attribute);
  const number = attribute.kind === "long" || attribute.kind === "double" ? indexedValueOf(attribute) : undefined;
  // -0 would become 0 in JSON.
  if (typeof number === "number" && !Object.is(number, -0) && attributeOf("", number, "").kind === attribute.kind) return number;
  return { $kind: attribute.kind, $value: base64Of(attributeBytes(attribute)) };
}

/** The bytes of standard base64 with its padding, strictly. Throws InvalidInput at `path`. */
export function base64Bytes(value: unknown, path: string): Buffer {
  if (typeof value !== "string") throw fault(path, "must be base64 text");
  const bytes = Buffer.from(value, "base64");
  // The decoder skips what it does not know; only what these bytes are written as is taken.
  if (base64Of(bytes) === value) return bytes;
  throw fault(path, "is not base64 (A-Z a-z 0-9 + /, padded by = to a multiple of 4)");
}

export function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** InvalidInput at one place. */
export function fault(path: string, message: string): InvalidInput {
  const place = path.length > 300 ? `${path.slice(0, 300)}…` : path;
  return new InvalidInput(`reading a message: ${place || "it"} ${message}`, [{ path: place, message }]);
}

function placeOf(path: string, name: string, position: number | undefined): string {
  return position === undefined ? `${path}.${name}` : `${path}.${name}[${position}]`;
}
