import { timingSafeEqual } from "node:crypto";
import { bearerOf, unauthorized } from "./bearer.ts";
import { fitsGlob } from "./glob.ts";
import { hashOfKey } from "./keys.ts";
import type { AuthSettings, Grants } from "./settings.ts";
import { createTokenCallers } from "./token-callers.ts";
import { isToken } from "./tokens.ts";

/** Who asks, and what they were granted. */
export interface Caller {
  /** The key's id; `<issuer>#<sub>` of a token; `anonymous` where neither is needed. */
  readonly id: string;
  readonly admin: boolean;
  canRead(collection: string): boolean;
  /** `destination` is the destination's name, as given by `?topic=`. */
  canPublish(destination: string): boolean;
}

/**
 * Tells who asks; `header` takes a name in lower case. Throws HttpError: 401 where a key or a token is needed and none that counts is shown,
 * 503 where an issuer's keys cannot be read now.
 */
export type Authorize = (header: (name: string) => string | undefined) => Caller | Promise<Caller>;

/** May do everything: the only caller of a host without authorization. */
export const ANYONE: Caller = { id: "anonymous", admin: true, canRead: () => true, canPublish: () => true };

/**
 * Checks what a request shows against the settings: a key as `Authorization: Bearer <key>` or `x-api-key: <key>`, by its hash, or a token
 * as `Authorization: Bearer <token>`, by its issuer's keys. What has the form of a token counts as one where issuers are set.
 */
export function createAuthorize(settings: AuthSettings): Authorize {
  if (settings.mode === "open") return () => ANYONE;
  const takesTokens = settings.issuers.length > 0;
  const byToken = createTokenCallers(settings.issuers);
  const byKey = keyCallers(settings.apiKeys);
  return (header) => {
    const authorization = header("authorization");
    const apiKey = header("x-api-key");
    const token = takesTokens && apiKey === undefined ? bearerOf(authorization) : undefined;
    if (token !== undefined && isToken(token)) return byToken(token).then(({ id, grants }) => callerOf(id, grants));
    const key = shownKey(authorization, apiKey);
    if (key === undefined) throw unauthorized(takesTokens ? `${KEY_NEEDED}, or a token as Authorization: Bearer <token>` : KEY_NEEDED);
    return byKey(key);
  };
}

const KEY_NEEDED = "this host needs a key: send Authorization: Bearer <key>, or x-api-key: <key>";

function keyCallers(apiKeys: AuthSettings["apiKeys"]): (key: string) => Caller {
  const known = apiKeys.map(({ id, sha256, grants }) => ({ hash: Buffer.from(sha256, "hex"), caller: callerOf(id, grants) }));
  return (key) => {
    const shown = hashOfKey(key);
    let found: Caller | undefined;
    // No early end: how long it takes must not tell which key came near.
    for (const { hash, caller } of known) if (timingSafeEqual(hash, shown)) found = caller;
    if (!found) throw unauthorized("the key is not known here, or was withdrawn; ask the operator for one", "invalid_token");
    return found;
  };
}

/** The key that a request shows; undefined where there is none, or two that differ. */
function shownKey(authorization: string | undefined, apiKey: string | undefined): string | undefined {
  const bearer = bearerOf(authorization);
  if (authorization !== undefined && bearer === undefined) return undefined;
  if (bearer !== undefined && apiKey !== undefined && bearer !== apiKey) return undefined;
  return bearer ?? apiKey;
}

function callerOf(id: string, grants: Grants): Caller {
  return {
    id,
    admin: grants.admin,
    canRead: (collection) => grants.read.some((glob) => fitsGlob(glob, collection)),
    canPublish: (destination) => grants.publish.some((glob) => fitsGlob(glob, destination)),
  };
}
