/*
 * Metadata travels as headers. Its names must be identifiers, without regard to case; of its values only printable ASCII without blanks at
 * the ends is sure to survive, and signatures are made over single blanks. So names and values are encoded, what is plain staying as it is.
 */

/** What Blob Storage allows of names and values together, as they are stored. */
const STORED_BYTES = 8192;
/** A byte takes up to three when stored; an empty text takes one. */
const BYTES_WHEN_STORED = 3;

/** Most bytes of UTF-8 of names and values together that are sure to fit, whatever their characters. */
export const METADATA_BYTES = Math.floor(STORED_BYTES / BYTES_WHEN_STORED);

/** Stand before the two digits of a byte, and alone for the empty text, which no encoding yields otherwise. */
const NAME_ESCAPE = "_";
const VALUE_ESCAPE = "%";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const NAME_UNSAFE = /^[0-9]|[^a-z0-9]/gu;
const VALUE_UNSAFE = /[^ -$&-~]|^ | $|(?<= ) /gu;

/** Bytes of names and values together, as the limit counts them. */
export function metadataSize(metadata: Readonly<Record<string, string>>): number {
  return Object.entries(metadata).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value), 0);
}

/** Metadata as it is stored. */
export function encodeMetadata(metadata: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata).map(([name, value]) => [encode(name, NAME_UNSAFE, NAME_ESCAPE), encode(value, VALUE_UNSAFE, VALUE_ESCAPE)]),
  );
}

/** What `encodeMetadata` was given. What another program stored, and is no encoding, stays as it is. */
export function decodeMetadata(stored: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(stored).map(([name, value]) => [decode(name, NAME_ESCAPE), decode(value, VALUE_ESCAPE)]));
}

function encode(text: string, unsafe: RegExp, lead: string): string {
  if (text === "") return lead;
  return text.replace(unsafe, (character) => Buffer.from(character).toString("hex").replace(/../g, `${lead}$&`));
}

function decode(text: string, lead: string): string {
  if (text === lead) return "";
  const bytes = new RegExp(`(?:${lead}[0-9a-f]{2})+`, "g");
  try {
    return text.replace(bytes, (found) => UTF8.decode(Buffer.from(found.replaceAll(lead, ""), "hex")));
  } catch {
    return text;
  }
}
