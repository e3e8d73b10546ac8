import { createHmac, timingSafeEqual } from "node:crypto";

export interface TokenRules {
  keyName: string;
  key: string;
  /** Tokens of an identity that are taken as they are. */
  identityTokens: Set<string>;
}

export interface PutToken {
  /** `servicebus.windows.net:sastoken` or `jwt`. */
  type: string;
  /** What it is to be good for, as a URI. */
  audience: string;
  token: string;
}

/** What a token is good for, or why it is refused. */
export type Verdict = { path: string; expiresAtMs: number } | { refusal: string };

const IDENTITY_TOKEN_MS = 3_600_000;

/** Checks a token that a client has put: a shared access signature by its key, an identity's by the tokens that are known. */
export function judgeToken({ type, audience, token }: PutToken, rules: TokenRules): Verdict {
  const path = pathOf(audience);
  if (type === "jwt") {
    if (!rules.identityTokens.has(token)) return { refusal: "InvalidToken: the token is not known." };
    return { path, expiresAtMs: Date.now() + IDENTITY_TOKEN_MS };
  }
  if (type !== "servicebus.windows.net:sastoken") return { refusal: `UnsupportedToken: no tokens of type '${type}'.` };
  const { sr, se, sig, skn, resource } = fieldsOf(token);
  if (skn !== rules.keyName || !isSignedBy(rules.key, `${sr}\n${se}`, sig)) {
    return { refusal: "InvalidSignature: the token has an invalid signature." };
  }
  const expiresAtMs = Number(se) * 1000;
  if (!(expiresAtMs > Date.now())) return { refusal: "ExpiredToken: the token is expired." };
  const isCovered = resource === "" || `${path}/`.startsWith(`${resource}/`);
  return isCovered ? { path, expiresAtMs } : { refusal: "InvalidAudience: the token is for another resource." };
}

/** What is missing, or is no text of a URL, is empty. */
function fieldsOf(token: string) {
  const fields = new Map(
    token
      .replace(/^SharedAccessSignature\s+/, "")
      .split("&")
      .map(pairOf),
  );
  const raw = (name: string) => fields.get(name) ?? "";
  return { sr: raw("sr"), se: raw("se"), sig: decoded(raw("sig")), skn: decoded(raw("skn")), resource: pathOf(decoded(raw("sr"))) };
}

function pairOf(field: string): [string, string] {
  const at = field.indexOf("=");
  return [field.slice(0, at), field.slice(at + 1)];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

function isSignedBy(key: string, text: string, signature: string): boolean {
  const own = createHmac("sha256", key).update(text).digest();
  const theirs = Buffer.from(signature, "base64");
  return own.length === theirs.length && timingSafeEqual(own, theirs);
}

/** The path of `scheme://host[:port]/path`, in lower case, without slashes at its ends. */
const pathOf = (uri: string): string =>
  uri
    .replace(/^[a-z]+:\/\/[^/]*/i, "")
    .replace(/^\/+|\/+$/g, "")
    .toLowerCase();
