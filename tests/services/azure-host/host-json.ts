import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { timeSpanMs } from "./dotnet.ts";

/** host.json, as the triggers read it: names are the same in any case. */
export interface HostJson {
  /** A section under `extensions`. */
  extension(name: string): Section;
  /** Undefined: no limit. */
  readonly functionTimeoutMs: number | undefined;
  readonly defaultLogLevel: unknown;
}

export interface Section {
  number(name: string, fallback: number): number;
  boolean(name: string, fallback: boolean): boolean;
  text(name: string, fallback: string): string;
  /** Milliseconds of a `TimeSpan` text. */
  timeMs(name: string, fallbackMs: number): number;
  /** A section within it. */
  section(name: string): Section;
}

type Json = Readonly<Record<string, unknown>>;

/** Thirty minutes, as in every plan but Consumption. */
const FUNCTION_TIMEOUT_MS = 1_800_000;

/** Reads the app's host.json; a setting of an app setting `AzureFunctionsJobHost__a__b` wins. */
export async function readHostJson(appDir: string, env: Readonly<Record<string, string>>): Promise<HostJson> {
  const json: Json = JSON.parse(await readFile(join(appDir, "host.json"), "utf8"));
  const overrides = Object.entries(env).filter(([name]) => name.toLowerCase().startsWith("azurefunctionsjobhost__"));
  const root = overrides.reduce((tree, [name, value]) => withPath(tree, name.split("__").slice(1), value), json);
  const timeout = member(root, "functionTimeout");
  return {
    extension: (name) => sectionOf(objectOf(member(objectOf(member(root, "extensions")), name))),
    functionTimeoutMs: timeout === "-1" || timeout === -1 ? undefined : (timeSpanMs(timeout) ?? FUNCTION_TIMEOUT_MS),
    defaultLogLevel: member(objectOf(member(objectOf(member(root, "logging")), "logLevel")), "default"),
  };
}

function sectionOf(section: Json): Section {
  return {
    number: (name, fallback) => Number(member(section, name) ?? fallback),
    boolean: (name, fallback) => String(member(section, name) ?? fallback).toLowerCase() === "true",
    text: (name, fallback) => String(member(section, name) ?? fallback),
    timeMs: (name, fallbackMs) => timeSpanMs(member(section, name)) ?? fallbackMs,
    section: (name) => sectionOf(objectOf(member(section, name))),
  };
}

function member(json: Json, name: string): unknown {
  const key = Object.keys(json).find((key) => key.toLowerCase() === name.toLowerCase());
  return key === undefined ? undefined : json[key];
}

const objectOf = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {});

function withPath(tree: Json, [name = "", ...rest]: string[], value: string): Json {
  const key = Object.keys(tree).find((key) => key.toLowerCase() === name.toLowerCase()) ?? name;
  return { ...tree, [key]: rest.length === 0 ? value : withPath(objectOf(tree[key]), rest, value) };
}
