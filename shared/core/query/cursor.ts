import { createHmac, timingSafeEqual } from "node:crypto";
import { InvalidInput } from "../errors.ts";

/** Where a listing goes on, and the upper bound of time that its first page was resolved to (null: none). */
export interface CursorPosition {
  publishTimeMs: number;
  uniqueId: string;
  upperBoundMs: number | null;
}

/** Makes and reads cursors: texts that say where a listing goes on, which callers can neither read into nor change. */
export interface Cursors {
  /** A cursor that is good only for the listing that `query` describes. */
  seal(query: string, position: CursorPosition): string;
  /** Throws InvalidInput naming `cursor` where the text is none of ours, or is one of another query. */
  open(query: string, cursor: string): CursorPosition;
}

const VERSION = 1;
const TAG_BYTES = 16;
const SHAPE = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{22})$/;

/**
 * Cursors signed with `secret` (at least 32 bytes). The signature is an HMAC-SHA-256 over the query and the position, so a cursor under
 * another query is told apart like a forged one, and the query need not stand in it.
 *
 * @example
 * const cursors = signedCursors(secret);
 * cursors.open("range orders", cursors.seal("range orders", { publishTimeMs: 0, uniqueId: "orders_1", upperBoundMs: null }));
 */
export function signedCursors(secret: string | Uint8Array): Cursors {
  const tagOf = (query: string, payload: string) =>
    createHmac("sha256", secret).update(`${VERSION} ${payload} `).update(query).digest().subarray(0, TAG_BYTES);
  return {
    seal(query, { publishTimeMs, uniqueId, upperBoundMs }) {
      const payload = Buffer.from(JSON.stringify([publishTimeMs, uniqueId, upperBoundMs])).toString("base64url");
      return `${payload}.${tagOf(query, payload).toString("base64url")}`;
    },
    open(query, cursor) {
      const [, payload, tag] = SHAPE.exec(cursor) ?? [];
      if (payload === undefined || tag === undefined) throw cursorFault("is no cursor; give one as it was answered, or none to begin anew");
      const given = Buffer.from(tag, "base64url");
      if (!timingSafeEqual(given, tagOf(query, payload))) {
        throw cursorFault("belongs to another query, or was changed; repeat the query that it came from, or give none to begin anew");
      }
      const [publishTimeMs, uniqueId, upperBoundMs] = JSON.parse(Buffer.from(payload, "base64url").toString()) as [
        number,
        string,
        number | null,
      ];
      return { publishTimeMs, uniqueId, upperBoundMs };
    },
  };
}

/** The fault of a cursor, as InvalidInput at `cursor`. */
export function cursorFault(message: string): InvalidInput {
  return new InvalidInput(`reading the cursor: it ${message}`, [{ path: "cursor", message }]);
}
