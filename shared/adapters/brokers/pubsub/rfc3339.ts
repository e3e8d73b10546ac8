const FORM = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/;

/** Microseconds since 1970 of an RFC 3339 time with up to nine digits of a second, cut to six; undefined where the text is none. */
export function microsOf(text: string): number | undefined {
  const match = FORM.exec(text);
  if (!match) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [number, number, number, number, number, number];
  const time = new Date(0);
  time.setUTCFullYear(year, month - 1, day);
  time.setUTCHours(hour, minute, second);
  // A field out of its range has moved the others.
  if (time.getUTCMonth() !== month - 1 || time.getUTCDate() !== day || time.getUTCHours() !== hour) return undefined;
  if (time.getUTCMinutes() !== minute || time.getUTCSeconds() !== second) return undefined;
  const offset = offsetMinutes(match[8], Number(match[9]), Number(match[10]));
  if (offset === undefined) return undefined;
  return (time.getTime() - offset * 60_000) * 1000 + Number((match[7] ?? "").padEnd(6, "0").slice(0, 6));
}

function offsetMinutes(sign: string | undefined, hours: number, minutes: number): number | undefined {
  if (sign === undefined) return 0;
  if (hours > 23 || minutes > 59) return undefined;
  return (sign === "-" ? -1 : 1) * (hours * 60 + minutes);
}
