import { errorText, InvalidInput } from "../../core/errors.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of bytes. Throws InvalidInput where they are not UTF-8. `what` names them: `the body`. */
export function decodeUtf8(bytes: Uint8Array, what: string): string {
  try {
    return utf8.decode(bytes);
  } catch (error) {
    throw new InvalidInput(`reading ${what}: it is not valid UTF-8`, [], { cause: error });
  }
}

/** The value of a JSON text. Throws InvalidInput naming the position of the fault. `what` names the text: `the body`. */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const at = jsonFaultPosition(text);
    const message = at >= text.length ? `ends too early, at position ${at}` : `is not JSON at position ${at}${lineOf(text, at)}`;
    throw new InvalidInput(`reading ${what}: it ${message}`, [{ path: "", message }], { cause: errorText(error) });
  }
}

function lineOf(text: string, at: number): string {
  const before = text.slice(0, at);
  const line = before.split("\n").length;
  return line === 1 ? "" : ` (line ${line}, column ${at - before.lastIndexOf("\n")})`;
}

const SPACE = /[ \t\n\r]*/y;
/** A string up to its closing quote. Unrolled, so that a long one takes no stack of the expression. */
const STRING = String.raw`"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*`;
const STRING_PART = new RegExp(STRING, "y");
const SCALAR = new RegExp(`${STRING}"|${String.raw`-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null`}`, "y");

type Expected = "value" | "first" | "key" | "colon" | "next" | "end";

/**
 * Where JSON text stops being JSON, as an index; the text's length where it only ends too early. The engine's own error does not always tell.
 * Without recursion, since the text may be nested as deep as it is long.
 */
export function jsonFaultPosition(text: string): number {
  const open: string[] = [];
  let expected: Expected = "value";
  let at = skip(SPACE, text, 0);
  while (at < text.length) {
    const end = step(text, at, expected, open);
    if (end < 0) return faultWithin(text, at);
    expected = after(text[at] as string, expected, open);
    at = skip(SPACE, text, end);
  }
  return at;
}

/** The end of the token at `at` if it may stand there, else -1; opens and closes brackets. */
function step(text: string, at: number, expected: Expected, open: string[]): number {
  const sign = text[at] as string;
  const bracket = open.at(-1);
  if (expected === "colon") return sign === ":" ? at + 1 : -1;
  if (sign === "]" || sign === "}") {
    if (bracket !== sign || (expected !== "first" && expected !== "next")) return -1;
    open.pop();
    return at + 1;
  }
  if (expected === "next") return sign === "," && bracket !== undefined ? at + 1 : -1;
  if (expected === "end") return -1;
  const wantsKey = expected === "key" || (expected === "first" && bracket === "}");
  if (wantsKey && sign !== '"') return -1;
  if (sign === "[" || sign === "{") {
    open.push(sign === "[" ? "]" : "}");
    return at + 1;
  }
  const end = skip(SCALAR, text, at);
  return end === at ? -1 : end;
}

function after(sign: string, expected: Expected, open: readonly string[]): Expected {
  if (expected === "colon") return "value";
  if (sign === "[" || sign === "{") return "first";
  const bracket = open.at(-1);
  if (sign === ",") return bracket === "}" ? "key" : "value";
  const wasKey = sign === '"' && (expected === "key" || (expected === "first" && bracket === "}"));
  if (wasKey) return "colon";
  return bracket === undefined ? "end" : "next";
}

/** In a string that does not end well, the place where it goes wrong. */
function faultWithin(text: string, at: number): number {
  return text[at] === '"' ? skip(STRING_PART, text, at) : at;
}

function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}
