/*
 * Custom metadata comes back as headers of the download, where names lose their case, and where only printable ASCII without blanks
 * at its ends is sure to survive. So names and values are percent-encoded, what is plain staying as it is.
 */

/** What Cloud Storage allows of names and values together, as they are stored. */
const STORED_BYTES = 8192;
/** A byte takes up to three when stored; an empty text takes one. */
const BYTES_WHEN_STORED = 3;

/** Most bytes of UTF-8 of names and values together that are sure to fit, whatever their characters. */
export const METADATA_BYTES = Math.floor(STORED_BYTES / BYTES_WHEN_STORED);

const HEADER_PREFIX = "x-goog-meta-";
/** Stands for the empty text, which no encoding yields otherwise. */
const EMPTY = "%";
const NAME_SAFE = /[a-z0-9_-]/;
const VALUE_SAFE = /[ -$&-~]/;

/** Bytes of names and values together, as the limit counts them. */
export function metadataSize(metadata: Readonly<Record<string, string>>): number {
  return Object.entries(metadata).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value), 0);
}

/** Metadata as it is stored. */
export function encodeMetadata(metadata: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).map(([name, value]) => [encode(name, NAME_SAFE), encodeValue(value)]));
}

/** The metadata among the headers of a download. */
export function decodeMetadata(headers: Readonly<Record<string, unknown>>): Record<string, string> {
  const entries = Object.entries(headers).filter(([name]) => name.startsWith(HEADER_PREFIX));
  return Object.fromEntries(entries.map(([name, value]) => [decode(name.slice(HEADER_PREFIX.length)), decode(String(value))]));
}

/** Two braces are torn apart: the SDK looks for `{{projectId}}` in all that it sends, and fills it in. */
function encodeValue(value: string): string {
  return encode(value, VALUE_SAFE).replace(/^ | $/g, "%20").replaceAll("{{", "{%7b");
}

function encode(text: string, safe: RegExp): string {
  if (text === "") return EMPTY;
  let encoded = "";
  for (const character of text) {
    encoded += safe.test(character) ? character : percentOf(character);
  }
  return encoded;
}

/** Lower case: names of headers have no other. */
function percentOf(character: string): string {
  return [...Buffer.from(character)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
}

/** What another program stored, and is no encoding, stays as it is. */
function decode(text: string): string {
  if (text === EMPTY) return "";
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
