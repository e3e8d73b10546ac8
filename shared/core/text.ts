/**
 * Orders two texts by their UTF-8 bytes (that is, by code points), unlike `<`, which orders by UTF-16 units.
 * Negative, zero or positive, as for `Array.prototype.sort`.
 */
export function compareUtf8(a: string, b: string): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return codePointRank(x) - codePointRank(y);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above all other units, though their numbers lie below U+E000. */
function codePointRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** Cuts `text` to at most `maxBytes` of UTF-8, never inside a character. */
export function cutUtf8(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes) return text;
  const bytes = Buffer.from(text, "utf8");
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes;
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}

/** RFC 3339 in UTC with milliseconds; beyond the years 0–9999 the number of milliseconds as text. */
export function msToIso(ms: number): string {
  if (!(ms >= YEAR_0_MS && ms <= YEAR_9999_END_MS)) return String(ms);
  return new Date(ms).toISOString();
}

/** As `msToIso`, with microseconds where there are any. */
export function microsToIso(us: number): string {
  const ms = Math.floor(us / 1000);
  const rest = us - ms * 1000;
  const text = msToIso(ms);
  return rest === 0 || !text.endsWith("Z") ? text : `${text.slice(0, -1)}${String(rest).padStart(3, "0")}Z`;
}

const YEAR_0_MS = -62_167_219_200_000;
const YEAR_9999_END_MS = 253_402_300_799_999;
