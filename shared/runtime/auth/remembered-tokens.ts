import { sha256Hex } from "../../core/digest.ts";
import type { Claims, VerifyToken } from "./tokens.ts";

const MAX_REMEMBERED = 1_000;
/** A key that its issuer withdrew opens nothing for longer than this. */
const REMEMBERED_FOR_MS = 300_000;

/** Joins calls about the same token, and answers for tokens that were found good lately. */
export function rememberGood(verify: VerifyToken, clockToleranceMs: number): VerifyToken {
  const good = new Map<string, { claims: Claims; untilMs: number }>();
  const running = new Map<string, Promise<Claims>>();
  const remember = (hash: string, claims: Claims) => {
    const expiresAtMs = (claims.exp ?? 0) * 1000 + clockToleranceMs;
    good.set(hash, { claims, untilMs: Math.min(expiresAtMs, Date.now() + REMEMBERED_FOR_MS) });
    if (good.size > MAX_REMEMBERED) good.delete(good.keys().next().value as string);
  };
  const verifyOnce = (hash: string, token: string) => {
    const found = running.get(hash);
    if (found) return found;
    const verified = verify(token)
      .then((claims) => {
        remember(hash, claims);
        return claims;
      })
      .finally(() => running.delete(hash));
    running.set(hash, verified);
    return verified;
  };
  return (token) => {
    const hash = sha256Hex(token);
    const found = good.get(hash);
    // Taken out and put back: what was not seen for the longest time is the first to be dropped.
    good.delete(hash);
    if (!found || found.untilMs <= Date.now()) return verifyOnce(hash, token);
    good.set(hash, found);
    return Promise.resolve(found.claims);
  };
}
