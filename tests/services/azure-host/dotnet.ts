import type { Capabilities, RpcTypedData } from "./rpc.ts";

// What the .NET host makes of the values that its extensions bind (GrpcMessageConversionExtensions.ToRpc): undefined stands for
// null, which never leaves the host (ScriptInvocationContextExtensions.ShouldSkipBindingData).

const TICKS_PER_MS = 10_000n;
const TICKS_AT_UNIX_EPOCH = 621_355_968_000_000_000n;

export type Typed = RpcTypedData | undefined;

export const textOf = (value: string | null | undefined): Typed => (value === null || value === undefined ? undefined : { string: value });

/** `string[]`: without the capability, null and empty entries drop out, and the entries behind them move up. */
export function textsOf(values: readonly (string | null | undefined)[], capabilities: Capabilities): Typed {
  const keepsEmpty = Boolean(capabilities["IncludeEmptyEntriesInMessagePayload"]?.trim());
  const entries = values.map((value) => value ?? "");
  return { collectionString: { string: keepsEmpty ? entries : entries.filter((value) => value !== "") } };
}

/** `byte[][]`: null entries drop out. */
export const bytesArrayOf = (values: readonly (Uint8Array | null)[]): Typed => ({
  collectionBytes: { bytes: values.filter((value) => value !== null) },
});

export const longsOf = (values: readonly bigint[]): Typed => ({ collectionSint64: { sint64: [...values] } });

/** Anything that has no form of its own: Newtonsoft's JSON. */
export const jsonOf = (value: unknown): Typed => (value === undefined || value === null ? undefined : { json: toJson(value) });

/** JSON with 64-bit integers to the last digit, and binary as base64. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, entry) => {
    if (typeof entry === "bigint") return rawJson(String(entry));
    if (typeof entry === "number" && !Number.isFinite(entry)) return String(entry);
    return entry;
  });
}

const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

/** A `DateTime` of kind Unspecified, as `DateTimeOffset.DateTime` is: no time zone in its text. */
export const dateTimeText = (ms: number): string => fractionTrimmed(new Date(ms).toISOString().slice(0, -1));

/** A `DateTime` of kind Utc. */
export const utcText = (ms: number): string => `${dateTimeText(ms)}Z`;

/** A `DateTimeOffset` in UTC. */
export const dateTimeOffsetText = (ms: number): string => `${dateTimeText(ms)}+00:00`;

export const MAX_DATE_TIME_TEXT = "9999-12-31T23:59:59.9999999";

const fractionTrimmed = (text: string): string => text.replace(/\.?0*$/, "");

/** .NET ticks (100 ns since year 1) in milliseconds since 1970. */
export const ticksToMs = (ticks: bigint): number => Number((ticks - TICKS_AT_UNIX_EPOCH) / TICKS_PER_MS);

const ISO_DATE = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(\.\d{1,7})?(Z|[+-]\d{2}:\d{2})?$/;

/** What `JToken.Parse` and `ToString` make of a text: strings that look like an ISO time are parsed as one and written anew. */
export function reparsed(json: string): unknown {
  return JSON.parse(json, (_key, value) => (typeof value === "string" ? redated(value) : value));
}

function redated(text: string): string {
  const [, seconds, fraction = "", zone = ""] = ISO_DATE.exec(text) ?? [];
  if (seconds === undefined || Number.isNaN(Date.parse(`${seconds}Z`))) return text;
  const trimmed = fraction.replace(/\.?0+$/, "");
  if (zone === "" || zone === "Z") return `${seconds}${trimmed}${zone}`;
  // A text with an offset becomes local time, which is UTC in Azure.
  return `${new Date(`${seconds}${zone}`).toISOString().slice(0, 19)}${trimmed}+00:00`;
}

/** Milliseconds of a .NET `TimeSpan` text: `[d.]hh:mm[:ss[.fffffff]]`; undefined where it is none. */
export function timeSpanMs(text: unknown): number | undefined {
  const match = typeof text === "string" ? /^(?:(\d+)\.)?(\d+):(\d+)(?::(\d+(?:\.\d+)?))?$/.exec(text.trim()) : null;
  if (!match) return undefined;
  const [, days = "0", hours = "0", minutes = "0", seconds = "0"] = match;
  return (((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000;
}
