import { timeSpanMs } from "./dotnet.ts";

/** When a timer is due next. */
export interface Schedule {
  /** The first time after `ms`; both in milliseconds since 1970. */
  next(ms: number): number;
}

const FIELDS = [
  { name: "second", min: 0, max: 59 },
  { name: "minute", min: 0, max: 59 },
  { name: "hour", min: 0, max: 23 },
  { name: "day of month", min: 1, max: 31 },
  { name: "month", min: 1, max: 12 },
  { name: "day of week", min: 0, max: 6 },
] as const;
const NAMES: Readonly<Record<string, number>> = Object.fromEntries([
  ...["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"].map((name, i) => [name, i + 1]),
  ...["sun", "mon", "tue", "wed", "thu", "fri", "sat"].map((name, i) => [name, i]),
]);
const MAX_YEARS = 28;
const SECOND_MS = 1_000;
const DAY_MS = 86_400_000;

/** A schedule in UTC: an NCRONTAB expression of six fields, of five without seconds, or a `TimeSpan`. Throws where it is none. */
export function parseSchedule(text: string): Schedule {
  const intervalMs = timeSpanMs(text);
  if (intervalMs !== undefined && intervalMs > 0) return { next: (ms) => ms + intervalMs };
  const parts = text.trim().split(/\s+/);
  const fields = parts.length === 5 ? ["0", ...parts] : parts;
  if (fields.length !== FIELDS.length) throw new Error(`reading the schedule '${text}': it has ${parts.length} fields; write six`);
  const [seconds, minutes, hours, days, months, weekdays] = fields.map((field, i) => valuesOf(field, FIELDS[i] as Field, text)) as Values[];
  return { next: (ms) => nextTime(ms, { seconds, minutes, hours, days, months, weekdays } as Cron, text) };
}

type Field = (typeof FIELDS)[number];
type Values = ReadonlySet<number>;
type Cron = Readonly<Record<"seconds" | "minutes" | "hours" | "days" | "months" | "weekdays", Values>>;

function valuesOf(field: string, { name, min, max }: Field, text: string): Values {
  const values = new Set<number>();
  for (const item of field.split(",")) {
    const [, range = "", step = "1"] = /^([^/]+)(?:\/(\d+))?$/.exec(item) ?? [];
    const [from = Number.NaN, to = item.includes("/") ? max : Number.NaN] = range === "*" ? [min, max] : range.split("-").map(numberOf);
    const last = Number.isNaN(to) ? from : to;
    if (!(from >= min && last <= max && from <= last && Number(step) > 0)) {
      throw new Error(`reading the schedule '${text}': '${item}' is no ${name}; write ${min} to ${max}, *, ranges and steps`);
    }
    for (let value = from; value <= last; value += Number(step)) values.add(value);
  }
  return values;
}

const numberOf = (text: string): number => NAMES[text.toLowerCase()] ?? (/^\d+$/.test(text) ? Number(text) : Number.NaN);

/** Day by day to one that fits, then the first time of day that fits. */
function nextTime(ms: number, cron: Cron, text: string): number {
  const earliest = Math.floor(ms / SECOND_MS) * SECOND_MS + SECOND_MS;
  const today = Math.floor(earliest / DAY_MS) * DAY_MS;
  for (let day = today; day < today + MAX_YEARS * 366 * DAY_MS; day += DAY_MS) {
    const date = new Date(day);
    if (!cron.months.has(date.getUTCMonth() + 1) || !cron.days.has(date.getUTCDate()) || !cron.weekdays.has(date.getUTCDay())) continue;
    const found = timesOf(cron).find((timeMs) => day + timeMs >= earliest);
    if (found !== undefined) return day + found;
  }
  throw new Error(`reading the schedule '${text}': no day fits it`);
}

function* timesOf({ seconds, minutes, hours }: Cron): Generator<number, undefined> {
  const sorted = (values: Values) => [...values].sort((a, b) => a - b);
  for (const hour of sorted(hours)) {
    for (const minute of sorted(minutes)) {
      for (const second of sorted(seconds)) yield ((hour * 60 + minute) * 60 + second) * SECOND_MS;
    }
  }
}
