import { sha256Hex } from "./digest.ts";
import { InvalidInput } from "./errors.ts";
import type { Attribute, Message } from "./message.ts";
import { cutUtf8 } from "./text.ts";

/** A template of folders, ready to be filled in from messages; made by `parsePathMask`. */
export interface PathMask {
  readonly template: string;
  /** See `pathOf`. */
  render(message: Message): string;
}

/** Stands for a value that is missing or empty, and for a time outside 1970–9999. */
export const UNKNOWN_VALUE = "unknown";

/** A longer segment is cut. In bytes of UTF-8; file systems allow 255. */
export const MAX_SEGMENT_BYTES = 120;

const HASH_DIGITS = 8;
const US_PER_MINUTE = 60_000_000;
const US_PER_HOUR = 60 * US_PER_MINUTE;
/** 10000-01-01. */
const END_OF_TIMES_US = 253_402_300_800_000_000;
/** Rendered paths that a mask remembers; past it, it starts anew. */
const MAX_REMEMBERED = 4096;
/** Longer values are not remembered. */
const MAX_REMEMBERED_UNITS = 256;

const TIME_FIELDS = ["year", "month", "day", "hour", "minute"] as const;
type TimeField = (typeof TIME_FIELDS)[number];
const ATTRIBUTE_PREFIX = "attribute:";

type ValuePart = { kind: "value"; textOf(message: Message): string };
type Part = { kind: "constant"; text: string } | { kind: "time"; field: TimeField } | ValuePart;

/**
 * Parses a template such as `{topic}/{year}/{month}/{day}/{hour}/{attribute:type}` or `topic={topic}/day={year}-{month}-{day}`.
 * Placeholders: `topic`, `partition`, `year`, `month`, `day`, `hour`, `minute` (the UTC publish time) and `attribute:<name>`. An empty
 * template means no folders. Throws InvalidInput naming what is wrong.
 */
export function parsePathMask(template: string): PathMask {
  if (!template.isWellFormed()) throw invalidMask(template, "it is not well-formed text");
  const segments = template === "" ? [] : template.split("/").map((segment) => parseSegment(segment, template));
  const parts = segments.flat();
  const values = parts.filter((part) => part.kind === "value");
  const hasMinute = parts.some((part) => part.kind === "time" && part.field === "minute");
  const hasTime = parts.some((part) => part.kind === "time");
  const timeUnitUs = !hasTime ? 0 : hasMinute ? US_PER_MINUTE : US_PER_HOUR;
  const memory = pathMemory(values);
  const render = (message: Message): string => {
    const unit = timeUnitOf(message.publishTimeUs, timeUnitUs);
    const known = memory.get(unit, message);
    if (known !== undefined) return known;
    const times = timeTexts(unit * timeUnitUs);
    const path = segments
      .map((parts) => cutWithHash(parts.map((part) => partText(part, times, message)).join(""), MAX_SEGMENT_BYTES))
      .join("/");
    memory.set(unit, message, path);
    return path;
  };
  return { template, render };
}

/** The folders of a message's object, without a slash at either end. The same message always has the same; quick for messages alike. */
export function pathOf(mask: PathMask, message: Message): string {
  return mask.render(message);
}

/**
 * Percent-encodes all but the unreserved characters of RFC 3986, and `.` and `..` whole; so no segment is one of these, whatever stands
 * beside the value.
 */
export function encodeValue(value: string): string {
  if (value === "." || value === "..") return value.replaceAll(".", "%2E");
  if (/^[A-Za-z0-9\-_.~]*$/.test(value)) return value;
  return encodeURIComponent(value.toWellFormed()).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Cuts `text` to `maxBytes` with `~` and 8 hex digits of its SHA-256 at the end; never inside a character or a `%XX`. */
export function cutWithHash(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes || Buffer.byteLength(text) <= maxBytes) return text;
  const kept = cutUtf8(text, maxBytes - HASH_DIGITS - 1).replace(/%[0-9A-F]?$/, "");
  return `${kept}~${sha256Hex(text).slice(0, HASH_DIGITS)}`;
}

function invalidMask(template: string, problem: string): InvalidInput {
  return new InvalidInput(`parsing path mask ${JSON.stringify(template)}: ${problem}`, [{ path: "path", message: problem }]);
}

function parseSegment(segment: string, template: string): Part[] {
  if (segment === "") throw invalidMask(template, "it has an empty segment; remove the extra slash");
  const parts: Part[] = [];
  let at = 0;
  while (at < segment.length) {
    const open = segment.indexOf("{", at);
    const constant = segment.slice(at, open < 0 ? undefined : open);
    if (constant !== "") parts.push(parseConstant(constant, template));
    if (open < 0) break;
    const close = segment.indexOf("}", open);
    if (close < 0) throw invalidMask(template, `the brace in ${JSON.stringify(segment.slice(open))} is not closed`);
    parts.push(parsePlaceholder(segment.slice(open + 1, close), template));
    at = close + 1;
  }
  if (parts.every(({ kind }) => kind === "constant") && (segment === "." || segment === "..")) {
    throw invalidMask(template, `a segment may not be ${JSON.stringify(segment)}`);
  }
  return parts;
}

function parseConstant(text: string, template: string): Part {
  if (text.includes("}")) throw invalidMask(template, `the brace in ${JSON.stringify(text)} was never opened`);
  if (/\p{Cc}/u.test(text)) throw invalidMask(template, "it has a control character");
  return { kind: "constant", text };
}

function parsePlaceholder(name: string, template: string): Part {
  if ((TIME_FIELDS as readonly string[]).includes(name)) return { kind: "time", field: name as TimeField };
  if (name === "topic") return { kind: "value", textOf: ({ topic }) => topic };
  if (name === "partition") return { kind: "value", textOf: ({ partition }) => partition };
  if (name.startsWith(ATTRIBUTE_PREFIX) && name.length > ATTRIBUTE_PREFIX.length) {
    const attribute = name.slice(ATTRIBUTE_PREFIX.length);
    return { kind: "value", textOf: ({ attributes }) => attributeText(attributes, attribute) };
  }
  throw invalidMask(template, `unknown placeholder {${name}}; use topic, partition, ${TIME_FIELDS.join(", ")} or attribute:<name>`);
}

/** The first value of the attribute as text; empty where there is none or its kind has no text. */
function attributeText(attributes: readonly Attribute[], name: string): string {
  for (const attribute of attributes) if (attribute.name === name) return valueText(attribute);
  return "";
}

function valueText({ kind, value }: Attribute): string {
  if (typeof value === "string") return value;
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  if (kind === "boolean" && value.length === 1) return view.getUint8(0) === 0 ? "false" : "true";
  if (kind === "long" && value.length === 8) return String(view.getBigInt64(0));
  if (kind === "double" && value.length === 8) return String(view.getFloat64(0));
  return "";
}

function partText(part: Part, times: Readonly<Record<TimeField, string>>, message: Message): string {
  if (part.kind === "constant") return part.text;
  if (part.kind === "time") return times[part.field];
  return encodeValue(part.textOf(message)) || UNKNOWN_VALUE;
}

/** Hours or minutes since 1970; -1 for a time that has no folders. */
function timeUnitOf(timeUs: number, unitUs: number): number {
  if (unitUs === 0) return 0;
  return timeUs >= 0 && timeUs < END_OF_TIMES_US ? Math.floor(timeUs / unitUs) : -1;
}

function timeTexts(timeUs: number): Record<TimeField, string> {
  if (timeUs < 0) return { year: UNKNOWN_VALUE, month: UNKNOWN_VALUE, day: UNKNOWN_VALUE, hour: UNKNOWN_VALUE, minute: UNKNOWN_VALUE };
  const iso = new Date(timeUs / 1000).toISOString();
  return { year: iso.slice(0, 4), month: iso.slice(5, 7), day: iso.slice(8, 10), hour: iso.slice(11, 13), minute: iso.slice(14, 16) };
}

type Level = Map<string | number, Level | string>;

/** Paths by time and values, one level of maps for each, so that a message like one before it costs a few look-ups and gets the same string. */
function pathMemory(values: readonly ValuePart[]) {
  let root: Level = new Map();
  let size = 0;
  return {
    get(unit: number, message: Message): string | undefined {
      let found = root.get(unit);
      for (let i = 0; i < values.length && found !== undefined; i++) {
        found = (found as Level).get((values[i] as ValuePart).textOf(message));
      }
      return found as string | undefined;
    },
    set(unit: number, message: Message, path: string): void {
      const texts = values.map(({ textOf }) => textOf(message));
      if (texts.some((text) => text.length > MAX_REMEMBERED_UNITS)) return;
      if (++size > MAX_REMEMBERED) {
        root = new Map();
        size = 1;
      }
      const keys = [unit, ...texts];
      const last = keys.pop() as string | number;
      let level = root;
      for (const key of keys) {
        const next = (level.get(key) as Level | undefined) ?? new Map();
        level.set(key, next);
        level = next;
      }
      level.set(last, path);
    },
  };
}
