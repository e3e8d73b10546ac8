import { createHash } from "node:crypto";
import { cutUtf8 } from "../../../core/text.ts";

/** Longer field paths make some servers reject the document; `attrs.` and a margin are left off. */
const MAX_NAME_BYTES = 180;
/** What of a longer name stays, for people to read. */
const KEPT_NAME_BYTES = 120;
const HASH_LENGTH = 32;

/** Stands for the empty name: alone it begins no escape. */
const EMPTY = "%";
/** Begins the hash of a name that was cut: `~` is no hex digit. */
const CUT = "%~";

/**
 * What a field name must not hold: the escape itself, the dot and dollar of paths, control characters, halves of characters. Nor may it begin
 * with a digit (a path takes it for a place in an array) or with two underscores (reserved by some servers).
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
const UNSAFE = /[%.$\u0000-\u001f\u007f-\u009f]|\p{Surrogate}|^\d|^_(?=_)/gu;

/** The field name of an attribute: for every name another, and one that no server takes for more than a name. */
export function fieldOf(name: string): string {
  if (name === "") return EMPTY;
  const field = name.replace(UNSAFE, escaped);
  if (field.length * 3 <= MAX_NAME_BYTES || Buffer.byteLength(field) <= MAX_NAME_BYTES) return field;
  // Not of the name itself: halves of characters are all alike in UTF-8.
  const hash = createHash("sha256").update(field).digest("hex").slice(0, HASH_LENGTH);
  return cutUtf8(field, KEPT_NAME_BYTES) + CUT + hash;
}

/** The name behind a field name; undefined where that was cut. */
export function nameOf(field: string): string | undefined {
  if (!field.includes("%")) return field;
  if (field === EMPTY) return "";
  if (field.includes(CUT)) return undefined;
  return field.replace(/%(?:u([0-9A-F]{4})|([0-9A-F]{2}))/g, (_, wide?: string, narrow?: string) =>
    String.fromCharCode(Number.parseInt(wide ?? narrow ?? "", 16)),
  );
}

function escaped(character: string): string {
  const code = character.charCodeAt(0);
  const hex = code.toString(16).toUpperCase();
  return code > 0xff ? `%u${hex}` : `%${hex.padStart(2, "0")}`;
}

/** Name of the database's collection for the index records of `collection`: dots, which some places of a name cannot have, are escaped. */
export function recordCollection(collection: string): string {
  return `records_${encodeURIComponent(collection.toWellFormed()).replaceAll(".", "%2E")}`;
}
