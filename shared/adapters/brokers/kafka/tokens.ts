import { errorText } from "../../../core/errors.ts";
import type { KafkaSettings } from "./settings.ts";

type OAuth = Extract<NonNullable<KafkaSettings["sasl"]>, { mechanism: "OAUTHBEARER" }>["oauth"];

/** A token is asked for anew when less than this share of its life is left. */
const RENEW_BELOW = 0.2;
const DEFAULT_LIFE_S = 300;
const ANSWER_WITHIN_MS = 5_000;

/** Tokens by OAuth's client credentials grant (RFC 6749, 4.4), each used until most of its life is over. The promise rejects where the server gives none. */
export function createTokens(oauth: OAuth): () => Promise<string> {
  let known: Promise<{ token: string; renewAtMs: number }> | undefined;
  const ask = async () => {
    const { access_token: token, expires_in: lifeS } = await askForToken(oauth);
    if (typeof token !== "string") throw new Error(`asking ${oauth.tokenEndpoint} for a token: the answer has no access_token`);
    const lifeMs = (typeof lifeS === "number" ? lifeS : DEFAULT_LIFE_S) * 1000;
    return { token, renewAtMs: performance.now() + lifeMs * (1 - RENEW_BELOW) };
  };
  return async () => {
    const last = await known?.catch(() => undefined);
    if (last && performance.now() < last.renewAtMs) return last.token;
    known = ask();
    return (await known).token;
  };
}

async function askForToken({ tokenEndpoint, clientId, clientSecret, scope, audience }: OAuth): Promise<Record<string, unknown>> {
  const form = new URLSearchParams({ grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret });
  if (scope !== undefined) form.set("scope", scope);
  if (audience !== undefined) form.set("audience", audience);
  let response: Response;
  try {
    response = await fetch(tokenEndpoint, { method: "POST", body: form, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  } catch (cause) {
    throw new Error(`asking ${tokenEndpoint} for a token: ${errorText(cause)}; see that it can be reached from here`, { cause });
  }
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`asking ${tokenEndpoint} for a token: status ${response.status}; correct sasl.oauth in PERSISTOR_KAFKA`);
  }
  return (await response.json()) as Record<string, unknown>;
}
