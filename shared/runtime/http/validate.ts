import type { z } from "zod";
import { type InputFault, InvalidInput } from "../../core/errors.ts";
import { type BodySource, checkEncoding, hasBody, isJson, MAX_BODY_BYTES, mediaType, readBody } from "./body.ts";
import { decodeUtf8, parseJson } from "./json.ts";
import { HttpError } from "./problem.ts";
import type { Route } from "./route.ts";

/** The header in which a request may carry its JSON in place of a body. */
export const REQUEST_HEADER = "x-persistor-request";

const MAX_HEADER_BYTES = 8192;
const MAX_FAULTS = 20;
const PRINTABLE = /^[\x20-\x7e]*$/;

type Header = (name: string) => string | undefined;

/** The value that `schema` makes of `input`. Throws InvalidInput naming each place, below `base`. `what` names the input: `the body`. */
export function validated<T>(schema: z.ZodType<T>, input: unknown, what: string): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const faults = result.error.issues.flatMap(faultsOf).slice(0, MAX_FAULTS);
  const [first] = faults;
  throw new InvalidInput(`reading ${what}: ${first ? `${first.path || "it"} ${first.message}` : "it is not as described"}`, faults);
}

function faultsOf(issue: z.core.$ZodIssue): InputFault[] {
  const path = pathText(issue.path);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ path: cut(path ? `${path}.${key}` : key), message: "is unknown here" }));
  }
  return [{ path: cut(path), message: messageOf(issue) }];
}

/** zod's own sentences begin with what is wrong, not with the place. */
function messageOf(issue: z.core.$ZodIssue): string {
  return /^(must|is|are|has|have|holds|lists|names|lies|stands)\b/.test(issue.message)
    ? issue.message
    : `is wrong: ${lowerFirst(issue.message)}`;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** A caller's names can be as long as the body. */
function cut(path: string): string {
  return path.length > 300 ? `${path.slice(0, 300)}…` : path;
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : text ? `${text}.${String(key)}` : String(key)),
    "",
  );
}

/** The query's parameters by name. Throws InvalidInput where one is given twice or is no valid percent-encoding. */
export function queryOf(url: string): Record<string, string> {
  const start = url.indexOf("?");
  if (start < 0) return {};
  const text = url.slice(start + 1);
  checkPercent(text, "the query string");
  const query = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(text)) {
    if (query.has(name))
      throw new InvalidInput(`reading the query: ${name} is given twice`, [{ path: cut(name), message: "is given twice" }]);
    query.set(name, value);
  }
  return Object.fromEntries(query);
}

/** Throws InvalidInput where percent-encoded text does not decode to UTF-8. */
export function checkPercent(text: string, what: string): void {
  if (!text.includes("%")) return;
  try {
    decodeURIComponent(text);
  } catch (error) {
    throw new InvalidInput(`reading ${what}: a % is not followed by two hex digits, or the bytes are not UTF-8; write % as %25`, [], {
      cause: error,
    });
  }
}

/** The validated body of a request, from the body or the header. Throws InvalidInput, and HttpError 413, 415 or 431. */
export async function bodyOf(route: Route, header: Header, source: BodySource): Promise<unknown> {
  if (!route.body) return undefined;
  const inHeader = route.bodyInHeader ? header(REQUEST_HEADER) : undefined;
  const text = await bodyText(header, source);
  if (inHeader !== undefined && text !== undefined) {
    const message = `stands in the body and in ${REQUEST_HEADER}; send one of them`;
    throw new InvalidInput(`reading the request: it ${message}`, [{ path: "", message }]);
  }
  if (inHeader !== undefined) return validated(route.body, parseJson(checkedHeader(inHeader), REQUEST_HEADER), REQUEST_HEADER);
  if (text !== undefined) return validated(route.body, parseJson(text, "the body"), "the body");
  if (route.bodyOptional) return validated(route.body, undefined, "the body");
  throw new InvalidInput("reading the body: there is none; send JSON", [{ path: "", message: "is missing" }]);
}

async function bodyText(header: Header, source: BodySource): Promise<string | undefined> {
  const type = mediaType(header("content-type"));
  const declaredBytes = Number(header("content-length") ?? 0);
  if (hasBody(header) && !isJson(type)) throw unsupportedType(type, "application/json");
  checkEncoding(header);
  const bytes = await readBody(source, declaredBytes, MAX_BODY_BYTES);
  if (bytes.length === 0) return undefined;
  if (!isJson(type)) throw unsupportedType(type, "application/json");
  return decodeUtf8(bytes, "the body");
}

/** 415: the body is of another type than `wanted`. */
export function unsupportedType(type: string, wanted: string): HttpError {
  return new HttpError(415, `reading the body: its content-type is ${type || "missing"}; send ${wanted}`);
}

function checkedHeader(text: string): string {
  if (text.length > MAX_HEADER_BYTES)
    throw new HttpError(431, `reading ${REQUEST_HEADER}: it is longer than ${MAX_HEADER_BYTES} bytes; send the JSON as body`);
  if (PRINTABLE.test(text)) return text;
  throw new InvalidInput(`reading ${REQUEST_HEADER}: it holds more than ASCII; write other characters as \\uXXXX`, [
    { path: "", message: "is not ASCII" },
  ]);
}
