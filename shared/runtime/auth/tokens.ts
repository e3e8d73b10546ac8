import type { errors, JWTPayload, JWTVerifyOptions } from "jose";
import type { HttpError } from "../http/problem.ts";
import { unauthorized } from "./bearer.ts";
import { issuerKeys } from "./issuer-keys.ts";
import { rememberGood } from "./remembered-tokens.ts";

/** Whose tokens are taken, and for whom they must be. */
export interface TokenIssuer {
  issuer: string;
  audience: string;
  /** Absent: what the issuer's discovery document names. */
  jwksUri?: string | undefined;
}

/** What a verified token says. */
export type Claims = Readonly<JWTPayload>;

/** Resolves to what the token says. Throws HttpError 401 where it is not to be trusted, 503 where that cannot be told now. */
export type VerifyToken = (token: string) => Promise<Claims>;

/** Three parts of base64url; the last is empty where a token is not signed. No API key holds a dot. */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/;
const MAX_TOKEN_LENGTH = 16_384;
/** Anything else lets whoever knows a public key, or nothing at all, sign tokens. */
const ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];
const CLOCK_TOLERANCE_S = 30;
/** Google writes its name both ways: https://developers.google.com/identity/openid-connect/openid-connect#validatinganidtoken */
const OTHER_NAMES: Readonly<Record<string, string>> = { "https://accounts.google.com": "accounts.google.com" };
/** Stands in place of the signature where Cloud Run verified the token itself. */
const STRIPPED_SIGNATURE = ".SIGNATURE_REMOVED_BY_GOOGLE";

/** Whether `text` has the form of a token. */
export function isToken(text: string): boolean {
  return JWT.test(text);
}

/** The values of `iss` that tokens of an issuer may have. */
export function namesOf(issuer: string): string[] {
  const other = OTHER_NAMES[issuer];
  return other === undefined ? [issuer] : [issuer, other];
}

/**
 * Verifies tokens of one issuer: its name, audience, times and signature. A token that was found good is remembered by its hash until it
 * expires, for five minutes at most: a broker shows the same one thousands of times a second. Loads `jose` at the first token.
 */
export function createVerifyToken(issuer: TokenIssuer): VerifyToken {
  let verifying: Promise<VerifyToken> | undefined;
  const verify: VerifyToken = async (token) => {
    verifying ??= joseVerifier(issuer);
    return (await verifying)(token);
  };
  const remembered = rememberGood(verify, CLOCK_TOLERANCE_S * 1000);
  return async (token) => {
    if (token.length > MAX_TOKEN_LENGTH) throw refused("the token is too long");
    if (!isToken(token)) throw refused("what is shown is no token of OpenID Connect");
    if (token.endsWith(STRIPPED_SIGNATURE)) {
      throw refused("the platform took this token's signature off: have it let calls through unauthenticated, since they are checked here");
    }
    return remembered(token);
  };
}

async function joseVerifier(issuer: TokenIssuer): Promise<VerifyToken> {
  const jose = await import("jose");
  const keys = issuerKeys(issuer, jose);
  const options: JWTVerifyOptions = {
    issuer: namesOf(issuer.issuer),
    audience: issuer.audience,
    algorithms: ALGORITHMS,
    clockTolerance: CLOCK_TOLERANCE_S,
    requiredClaims: ["exp"],
  };
  return async (token) => {
    try {
      return (await jose.jwtVerify(token, keys, options)).payload;
    } catch (error) {
      throw error instanceof jose.errors.JOSEError ? refused(faultOf(error)) : error;
    }
  };
}

/** A token that is not to be trusted. The claims stay out of it: errors are logged. */
function refused(fault: string): HttpError {
  return unauthorized(fault, "invalid_token");
}

const CLAIM_FAULTS: Readonly<Record<string, string>> = {
  iss: "the token is of an issuer that is not known here",
  aud: "the token is for another audience; ask its issuer for one for this host",
  nbf: "the token is not valid yet",
};

function faultOf(error: errors.JOSEError): string {
  switch (error.code) {
    case "ERR_JWT_EXPIRED":
      return "the token has expired; get a new one";
    case "ERR_JWT_CLAIM_VALIDATION_FAILED": {
      const { claim } = error as errors.JWTClaimValidationFailed;
      return CLAIM_FAULTS[claim] ?? `the token's claim ${claim} is missing or wrong`;
    }
    case "ERR_JOSE_ALG_NOT_ALLOWED":
      return "the token is not signed, or by an algorithm that is not taken here";
    case "ERR_JWS_SIGNATURE_VERIFICATION_FAILED":
    case "ERR_JWKS_NO_MATCHING_KEY":
    case "ERR_JWKS_MULTIPLE_MATCHING_KEYS":
      return "the token is not signed by a key of its issuer";
    default:
      return "what is shown is no token of OpenID Connect";
  }
}
