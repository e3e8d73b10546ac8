import { InvalidInput } from "../../core/errors.ts";
import { HttpError } from "../http/problem.ts";

/** Longest line of NDJSON, in bytes. */
export const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** Some whole lines, in order, with the number of the first (from 1). */
export interface Lines {
  first: number;
  lines: readonly string[];
}

const NEWLINE = 0x0a;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Splits pieces of bytes into lines, as many at a time as came in together; the last need not end in a newline.
 * Throws HttpError 413 where a line is too long, and InvalidInput where one is not UTF-8; the lines before it have been given then.
 */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Lines, void, undefined> {
  let first = 1;
  let open: Uint8Array[] = [];
  let openBytes = 0;
  const taken = function* (bytes: Uint8Array): Generator<Lines> {
    for (const lines of decoded(bytes, first)) {
      first = lines.first + lines.lines.length;
      yield lines;
    }
  };
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(NEWLINE);
    if (end >= 0) {
      yield* taken(joined(open, chunk.subarray(0, end)));
      open = [];
      openBytes = 0;
    }
    const rest = chunk.subarray(end + 1);
    openBytes += rest.length;
    if (openBytes > MAX_LINE_BYTES) throw tooLong(first);
    if (rest.length > 0) open.push(rest);
  }
  if (openBytes > 0) yield* taken(joined(open, new Uint8Array(0)));
}

function joined(open: readonly Uint8Array[], last: Uint8Array): Uint8Array {
  return open.length === 0 ? last : Buffer.concat([...open, last]);
}

function* decoded(bytes: Uint8Array, first: number): Generator<Lines> {
  try {
    yield { first, lines: utf8.decode(bytes).split("\n") };
  } catch {
    yield* decodedOneByOne(bytes, first);
  }
}

/** Slower, but it tells which line is wrong. */
function* decodedOneByOne(bytes: Uint8Array, first: number): Generator<Lines> {
  let start = 0;
  for (let number = first; start <= bytes.length; number++) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline < 0 ? bytes.length : newline;
    yield { first: number, lines: [textOfLine(bytes.subarray(start, end), number)] };
    start = end + 1;
  }
}

function textOfLine(bytes: Uint8Array, number: number): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new InvalidInput(`reading line ${number}: it is not valid UTF-8`, [{ path: `line ${number}`, message: "is not valid UTF-8" }], {
      cause,
    });
  }
}

function tooLong(number: number): HttpError {
  const message = `is longer than ${MAX_LINE_BYTES} bytes`;
  return new HttpError(413, `reading line ${number}: it ${message}; send a pointer to the data`, {
    members: { errors: [{ path: `line ${number}`, message }] },
  });
}
