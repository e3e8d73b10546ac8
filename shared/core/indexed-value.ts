import { type IndexedValue, type IndexRecord, MAX_INDEXED_VALUE_BYTES } from "./index-record.ts";

/** What filters look at: attributes in their order, and which names had a value cut. */
export type AttributeHolder = Pick<IndexRecord, "attributes" | "truncated_attributes">;

/** What one value of an attribute compares as. A value with neither (null, binary) exists and matches no comparison. */
export interface Comparable {
  text?: string;
  number?: number;
}

/** A character takes at most four bytes, so a cut at 1,024 bytes leaves at least this many. */
const LEAST_CUT_BYTES = MAX_INDEXED_VALUE_BYTES - 3;

/** The last character of Unicode; behind a cut text it sorts that text above every operand which is as long or shorter. */
const CUT_MARK = "\u{10FFFF}";

const JSON_NUMBER = /^-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

const TRUE_TEXT = "true";
const FALSE_TEXT = "false";

/** The text that a value compares as: itself, a number's JSON text, `true` or `false`; undefined for null and binary. */
export function textOf(value: IndexedValue): string | undefined {
  switch (typeof value) {
    case "string":
      return value.toWellFormed();
    case "number":
      return Number.isFinite(value) ? JSON.stringify(value) : undefined;
    case "boolean":
      return booleanText(value);
    default:
      return undefined;
  }
}

/** The text that a boolean compares as. */
export function booleanText(value: boolean): string {
  return value ? TRUE_TEXT : FALSE_TEXT;
}

/**
 * The number that a value compares as: that of its text where the text follows JSON's grammar of numbers, is finite, and is below 2^53
 * in magnitude or written as a decimal (with a fraction or an exponent). Undefined for all else, such as `007`, ` 1`, `NaN`, `0x10`.
 */
export function numberOf(value: IndexedValue): number | undefined {
  const text = textOf(value);
  return text === undefined ? undefined : numberOfText(text);
}

/**
 * What each attribute of `holder` compares as, by position.
 *
 * A cut text is marked, so that it is never equal to an operand (at most 1,024 bytes) and above every operand that it begins with or equals, as
 * the whole text was: the character cut off takes more bytes than there was room, so it sorts above all that would have fitted. It has no
 * number. The record names cut attributes, not values: where such a name repeats, its values of 1,021 to 1,024 bytes all count as cut.
 */
export function comparablesOf(holder: AttributeHolder): Comparable[] {
  return holder.attributes.map(([name, value]) => comparableOf(holder, name, value));
}

/** What one value of the attribute `name` of `holder` compares as; see `comparablesOf`. */
export function comparableOf(holder: AttributeHolder, name: string, value: IndexedValue): Comparable {
  const text = textOf(value);
  if (text === undefined) return NOTHING;
  if (isCut(holder, name, text)) return { text: text + CUT_MARK };
  return { text, number: numberOfText(text) };
}

const NOTHING: Comparable = {};

function isCut(holder: AttributeHolder, name: string, text: string): boolean {
  if (!holder.truncated_attributes?.includes(name)) return false;
  return Buffer.byteLength(text) >= LEAST_CUT_BYTES;
}

function numberOfText(text: string): number | undefined {
  if (!beginsLikeNumber(text)) return undefined;
  const parts = JSON_NUMBER.exec(text);
  if (!parts) return undefined;
  const number = Number(text);
  if (!Number.isFinite(number)) return undefined;
  const isDecimal = parts[1] !== undefined || parts[2] !== undefined;
  // The sum makes -0 a plain 0: databases keep no sign of zero.
  return isDecimal || Number.isSafeInteger(number) ? number + 0 : undefined;
}

const MINUS = 0x2d;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;

/** Spares the pattern for most texts. */
function beginsLikeNumber(text: string): boolean {
  const first = text.charCodeAt(0);
  return first === MINUS || (first >= DIGIT_0 && first <= DIGIT_9);
}
