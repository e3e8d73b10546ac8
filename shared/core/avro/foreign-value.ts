import avsc, { type Type } from "avsc";
import { type Cursor, readBigLong, readBoolean, readBytes, readItems, readLong, readText, take } from "./binary-reader.ts";
import { corrupt } from "./corrupt.ts";

/**
 * A value by any Avro schema. A map is its entries in their order, so that no name is lost; a record is a `Map` of its fields.
 */
export type AvroValue = null | boolean | number | bigint | string | Buffer | AvroValue[] | AvroMap | AvroRecord;

export interface AvroMap {
  readonly entries: readonly (readonly [name: string, value: AvroValue])[];
}

export type AvroRecord = Map<string, AvroValue>;

/** Deeper nesting is taken for damage; it would end the stack. */
const MAX_DEPTH = 64;

/**
 * Reads a value as `type` tells. The schema is avsc's, the reading is ours: avsc trusts the counts it reads, and one damaged byte
 * could have it allocate or loop for hours. Throws StoreError `object_corrupt`.
 */
export function readValue(cursor: Cursor, type: Type, depth = 0): AvroValue {
  if (depth > MAX_DEPTH) throw corrupt("values are nested too deep");
  switch (type.typeName) {
    case "null":
      return null;
    case "boolean":
      return readBoolean(cursor);
    case "int":
      return readLong(cursor);
    case "long":
      return readBigLong(cursor);
    case "float":
      return cursor.bytes.readFloatLE(take(cursor, 4));
    case "double":
      return cursor.bytes.readDoubleLE(take(cursor, 8));
    case "bytes":
      return readBytes(cursor);
    case "string":
      return readText(cursor);
    default:
      return readComplex(cursor, type, depth + 1);
  }
}

function readComplex(cursor: Cursor, type: Type, depth: number): AvroValue {
  if (type instanceof avsc.types.RecordType) {
    return new Map(type.fields.map((field) => [field.name, readValue(cursor, field.type, depth)]));
  }
  if (type instanceof avsc.types.MapType) {
    const entries: [string, AvroValue][] = [];
    readItems(cursor, () => entries.push([readText(cursor), readValue(cursor, type.valuesType, depth)]));
    return { entries };
  }
  if (type instanceof avsc.types.ArrayType) {
    const items: AvroValue[] = [];
    readItems(cursor, () => items.push(readValue(cursor, type.itemsType, depth)));
    return items;
  }
  if (type instanceof avsc.types.UnwrappedUnionType || type instanceof avsc.types.WrappedUnionType) {
    return readValue(cursor, chosen(type.types, readLong(cursor)), depth);
  }
  if (type instanceof avsc.types.EnumType) return chosen(type.symbols, readLong(cursor));
  if (type instanceof avsc.types.FixedType) {
    const start = take(cursor, type.size);
    return cursor.bytes.subarray(start, cursor.at);
  }
  throw corrupt(`the schema has a type ${type.typeName} that is not known`);
}

function chosen<T>(choices: readonly T[], index: number): T {
  const choice = choices[index];
  if (choice === undefined) throw corrupt(`choice ${index} of ${choices.length} does not exist`);
  return choice;
}
