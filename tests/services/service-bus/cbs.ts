import type { Message } from "rhea";
import type { Claims } from "./claims.ts";
import type { Reply } from "./requests.ts";
import { judgeToken, type TokenRules } from "./tokens.ts";

/** Answers a request to `$cbs`: takes the token that it puts, or refuses it. */
export function answerCbs(request: Message, rules: TokenRules, claims: Claims): Reply {
  const { operation, type, name } = request.application_properties ?? {};
  if (operation !== "put-token") return reply(400, `BadRequest: no operation '${operation}'.`);
  const verdict = judgeToken({ type: String(type), audience: String(name), token: String(request.body) }, rules);
  if ("refusal" in verdict) return reply(401, verdict.refusal);
  claims.grant(verdict.path, verdict.expiresAtMs);
  return reply(202, "Accepted");
}

const reply = (status: number, description: string): Reply => ({
  properties: { "status-code": status, "status-description": description },
});
