import { HttpError } from "../http/problem.ts";
import { bearerOf, unauthorized } from "./bearer.ts";
import { createVerifyToken } from "./tokens.ts";
import type { TriggerAuthSettings } from "./trigger-settings.ts";

/**
 * Lets pass who may trigger a function; `header` takes a name in lower case. Throws HttpError: 401 without a token that can be trusted,
 * 403 for another account's, 503 where the issuer's keys cannot be read now.
 */
export type TriggerAuth = (header: (name: string) => string | undefined) => Promise<void>;

/** Checks the tokens that Pub/Sub and Cloud Scheduler show, by their service account. Without settings nobody may pass. */
export function createTriggerAuth(settings: TriggerAuthSettings | undefined): TriggerAuth {
  if (settings === undefined) {
    return async () => {
      throw unauthorized(
        "nobody may trigger this function yet: set PERSISTOR_TRIGGER_AUTH to the audience and the service accounts of the callers' tokens",
      );
    };
  }
  if (settings.mode === "open") return async () => undefined;
  const verify = createVerifyToken(settings);
  const accounts = new Set(settings.serviceAccounts);
  return async (header) => {
    const token = bearerOf(header("authorization"));
    if (token === undefined) {
      throw unauthorized("this function needs a token: have the subscription or the scheduler send an OIDC token of its service account");
    }
    const { email, email_verified: isVerified } = await verify(token);
    if (isVerified === true && typeof email === "string" && accounts.has(email)) return;
    throw new HttpError(403, "the token's account may not trigger this function; add it to serviceAccounts of PERSISTOR_TRIGGER_AUTH");
  };
}
