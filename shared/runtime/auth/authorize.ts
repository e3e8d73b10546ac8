import { timingSafeEqual } from "node:crypto";
import { HttpError } from "../http/problem.ts";
import { fitsGlob } from "./glob.ts";
import { hashOfKey } from "./keys.ts";
import type { AuthSettings, Grants } from "./settings.ts";

/** Who asks, and what they were granted. */
export interface Caller {
  /** The key's id; `anonymous` where no key is needed. */
  readonly id: string;
  readonly admin: boolean;
  canRead(collection: string): boolean;
  /** `destination` is the destination's name, as given by `?topic=`. */
  canPublish(destination: string): boolean;
}

/** Tells who asks. Throws HttpError 401 where a key is needed and none, or none of ours, is shown. */
export type Authorize = (header: (name: string) => string | undefined) => Caller;

/** May do everything: the only caller of a host without authorization. */
export const ANYONE: Caller = { id: "anonymous", admin: true, canRead: () => true, canPublish: () => true };

/** Checks keys shown as `Authorization: Bearer <key>` or `x-api-key: <key>` against the hashes in the settings. */
export function createAuthorize(settings: AuthSettings): Authorize {
  if (settings.mode === "open") return () => ANYONE;
  const known = settings.apiKeys.map(({ id, sha256, grants }) => ({ hash: Buffer.from(sha256, "hex"), caller: callerOf(id, grants) }));
  return (header) => {
    const key = shownKey(header("authorization"), header("x-api-key"));
    if (key === undefined) throw unauthorized("this host needs a key: send Authorization: Bearer <key>, or x-api-key: <key>");
    const shown = hashOfKey(key);
    let found: Caller | undefined;
    // No early end: how long it takes must not tell which key came near.
    for (const { hash, caller } of known) if (timingSafeEqual(hash, shown)) found = caller;
    if (!found) throw unauthorized("the key is not known here, or was withdrawn; ask the operator for one", 'error="invalid_token"');
    return found;
  };
}

function callerOf(id: string, grants: Grants): Caller {
  return {
    id,
    admin: grants.admin,
    canRead: (collection) => grants.read.some((glob) => fitsGlob(glob, collection)),
    canPublish: (destination) => grants.publish.some((glob) => fitsGlob(glob, destination)),
  };
}

/** The key that a request shows; undefined where there is none, or two that differ. */
function shownKey(authorization: string | undefined, apiKey: string | undefined): string | undefined {
  const bearer = /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
  if (authorization !== undefined && bearer === undefined) return undefined;
  if (bearer !== undefined && apiKey !== undefined && bearer !== apiKey) return undefined;
  return bearer ?? apiKey;
}

function unauthorized(detail: string, parameters = ""): HttpError {
  const challenge = `Bearer realm="persistor"${parameters && `, ${parameters}`}`;
  return new HttpError(401, detail, { headers: { "www-authenticate": challenge } });
}
