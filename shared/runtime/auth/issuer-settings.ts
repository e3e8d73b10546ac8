import { z } from "zod";

const LOOPBACK = new Set(["127.0.0.1", "[::1]", "localhost"]);

/** Whether keys read from `url` can be trusted: over HTTPS, or from this machine. */
export function isTrustworthy(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return protocol === "https:" || (protocol === "http:" && LOOPBACK.has(hostname));
}

const keysUrl = z.url().max(2048).refine(isTrustworthy, "must be an https URL");

/** What every issuer of tokens is described by. */
export const issuerFields = {
  issuer: keysUrl
    .refine((url) => !/[?#]/.test(url), "must have neither query nor fragment")
    .describe("Who issues the tokens: exactly their claim `iss`."),
  jwksUri: keysUrl.optional().describe("Where the issuer's keys are. Default: what its discovery document names."),
  audience: z.string().min(1).max(2048).describe("Whom the tokens are for: exactly their claim `aud`, or one of it."),
};
