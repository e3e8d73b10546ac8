import type { createRemoteJWKSet, errors, JWTVerifyGetKey } from "jose";
import { PersistorError } from "../../core/errors.ts";
import { HttpError } from "../http/problem.ts";
import { openedOnce } from "../opened-once.ts";
import { isTrustworthy } from "./issuer-settings.ts";

/** What this needs of `jose`, which its caller loaded. */
export interface KeyLibrary {
  createRemoteJWKSet: typeof createRemoteJWKSet;
  errors: typeof errors;
}

const FETCH_WITHIN_MS = 5_000;
const RETRY_AFTER_S = "5";

/**
 * Finds the key that a token names among those of its issuer: fetched when first needed, kept for ten minutes, fetched again for a key that
 * is not among them (at most every 30 s). What failed is not remembered.
 *
 * Throws HttpError 503 where the keys cannot be had, and jose's own errors where no key fits the token.
 */
export function issuerKeys({ issuer, jwksUri }: { issuer: string; jwksUri?: string | undefined }, jose: KeyLibrary): JWTVerifyGetKey {
  const keySet = openedOnce(async () => {
    const url = jwksUri ?? (await discoveredKeys(issuer));
    return jose.createRemoteJWKSet(new URL(url), { timeoutDuration: FETCH_WITHIN_MS });
  });
  const { JWKSNoMatchingKey, JWKSMultipleMatchingKeys } = jose.errors;
  return async (header, token) => {
    try {
      return await (await keySet())(header, token);
    } catch (error) {
      if (error instanceof JWKSNoMatchingKey || error instanceof JWKSMultipleMatchingKeys) throw error;
      throw new HttpError(503, `the keys of the issuer ${issuer} cannot be read at the moment; repeat the request later`, {
        headers: { "retry-after": RETRY_AFTER_S },
        cause: error,
      });
    }
  };
}

/** The `jwks_uri` of the issuer's discovery document (OpenID Connect Discovery 1.0, section 4). */
async function discoveredKeys(issuer: string): Promise<string> {
  const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const unusable = (fault: string) => new PersistorError("settings_invalid", `reading ${url}: ${fault}`, { retryable: true });
  const response = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(FETCH_WITHIN_MS) });
  if (!response.ok) throw unusable(`it answered ${response.status}; correct the issuer, or set jwksUri`);
  const document = (await response.json()) as { issuer?: unknown; jwks_uri?: unknown } | null;
  if (document?.issuer !== issuer) throw unusable("it names another issuer; write the issuer as its document does");
  const { jwks_uri: jwksUri } = document;
  if (typeof jwksUri === "string" && isTrustworthy(jwksUri)) return jwksUri;
  throw unusable("it names no https URL of keys; set jwksUri");
}
