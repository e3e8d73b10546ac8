import { InvalidInput } from "../errors.ts";

const RFC_3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2})$/;
/** The original's form, always UTC. */
const PLAIN = /^(\d{4})-(\d{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2})$/;

const MINUTE_MS = 60_000;
const YEAR_1_MS = -62_135_596_800_000;
const YEAR_9999_END_MS = 253_402_300_799_999;

/**
 * Milliseconds since 1970 UTC of a time in RFC 3339 or as `yyyy-MM-dd HH:mm:ss` (UTC). Digits past the millisecond are dropped, as they are
 * in the index. Throws InvalidInput, its fault at `path`, where the text is neither, no real date or time of day, or beyond the years 0001–9999.
 */
export function parseTime(text: string, path = ""): number {
  const ms = timeOrFault(text);
  if (typeof ms === "number") return ms;
  throw new InvalidInput(`reading the time ${JSON.stringify(text.slice(0, 64))}: ${ms}`, [{ path, message: ms }]);
}

/** As `parseTime`, but gives the fault as text instead of throwing it. */
export function timeOrFault(text: string): number | string {
  const parts = RFC_3339.exec(text) ?? PLAIN.exec(text);
  if (!parts) return "is no time; write it as 2026-01-31T12:00:00Z or 2026-01-31 12:00:00 (UTC)";
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.slice(1, 7).map(Number);
  const localMs = calendarMs(year, month, day);
  if (localMs === undefined) return "names a date that is not in the calendar";
  if (hour > 23 || minute > 59 || second > 59) return "names a time of day that no clock shows";
  const offsetMs = offsetOf(parts[8] ?? "Z");
  if (offsetMs === undefined) return "has an offset beyond 23:59";
  const ms = localMs + ((hour * 60 + minute) * 60 + second) * 1000 + milliseconds(parts[7] ?? "") - offsetMs;
  return ms >= YEAR_1_MS && ms <= YEAR_9999_END_MS ? ms : "lies beyond the years 0001 to 9999";
}

function calendarMs(year: number, month: number, day: number): number | undefined {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.getTime() : undefined;
}

function milliseconds(fraction: string): number {
  return Number(fraction.slice(0, 3).padEnd(3, "0"));
}

function offsetOf(text: string): number | undefined {
  if (text === "Z" || text === "z") return 0;
  const hours = Number(text.slice(1, 3));
  const minutes = Number(text.slice(4, 6));
  if (hours > 23 || minutes > 59) return undefined;
  return (text.startsWith("-") ? -1 : 1) * (hours * 60 + minutes) * MINUTE_MS;
}
