import { unauthorized } from "./bearer.ts";
import type { Grants, IssuerSettings } from "./settings.ts";
import { type Claims, createVerifyToken, namesOf } from "./tokens.ts";

/** Whom a token names, and what its roles grant. */
export interface TokenCaller {
  /** `<issuer>#<sub>`: an issuer's name holds no `#`, and an API key's id no `:`, so no two callers share one. */
  id: string;
  grants: Grants;
}

/** OpenID Connect's own limit of `sub`. */
const MAX_SUBJECT_LENGTH = 255;

/** Tells whose a token is. Throws HttpError 401 where it is not to be trusted, 503 where that cannot be told now. */
export function createTokenCallers(issuers: readonly IssuerSettings[]): (token: string) => Promise<TokenCaller> {
  const known = issuers.map((settings) => ({ settings, verify: createVerifyToken(settings) }));
  return async (token) => {
    const named = issuersNamedBy(token, known);
    const verified = await Promise.all(named.map(async ({ settings, verify }) => ({ settings, claims: await verify(token) })));
    const [first] = verified;
    if (!first) throw unauthorized("the token is of an issuer, or for an audience, that is not known here", "invalid_token");
    return {
      id: `${first.settings.issuer}#${subjectOf(first.claims)}`,
      grants: united(verified.flatMap(({ settings, claims }) => grantsOf(settings, claims))),
    };
  };
}

/** Those of `known` that a token speaks of, as far as it can be believed: verifying comes after. */
function issuersNamedBy<T extends { settings: IssuerSettings }>(token: string, known: readonly T[]): T[] {
  const { iss, aud } = unverifiedClaims(token);
  const audiences: unknown[] = Array.isArray(aud) ? aud : [aud];
  return known.filter(({ settings }) => namesOf(settings.issuer).some((name) => name === iss) && audiences.includes(settings.audience));
}

function unverifiedClaims(token: string): { iss?: unknown; aud?: unknown } {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
    return typeof claims === "object" && claims !== null ? claims : {};
  } catch {
    return {};
  }
}

function subjectOf({ sub }: Claims): string {
  if (typeof sub === "string" && sub !== "" && sub.length <= MAX_SUBJECT_LENGTH) return sub;
  throw unauthorized("the token's claim sub is missing or wrong", "invalid_token");
}

function grantsOf({ roleClaim, roles }: IssuerSettings, claims: Claims): Grants[] {
  if (roleClaim === "email" && claims.email_verified !== true) {
    throw unauthorized("the token's address of mail is not verified", "invalid_token");
  }
  const value = Object.hasOwn(claims, roleClaim) ? claims[roleClaim] : undefined;
  const held: unknown[] = Array.isArray(value) ? value : [value];
  return Object.entries(roles).flatMap(([role, grants]) => (held.includes(role) ? [grants] : []));
}

function united(grants: readonly Grants[]): Grants {
  return {
    read: grants.flatMap(({ read }) => read),
    publish: grants.flatMap(({ publish }) => publish),
    admin: grants.some(({ admin }) => admin),
  };
}
