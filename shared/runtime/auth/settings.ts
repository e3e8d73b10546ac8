import { z } from "zod";
import { issuerFields } from "./issuer-settings.ts";

const globs = z.array(z.string().min(1).max(256)).max(1000);

/** What a caller may do. `*` in a glob stands for any text; nothing is granted by default. */
export const grantsSchema = z
  .strictObject({
    read: globs.default([]).describe("Collections that may be read; `*` stands for any text."),
    publish: globs.default([]).describe("Destinations to which may be published; `*` stands for any text."),
    admin: z.boolean().default(false).describe("May read metrics and run maintenance."),
  })
  .describe("What the caller may do.");

const apiKeySchema = z.strictObject({
  id: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,64}$/, "must be 1 to 64 letters, digits and dashes")
    .describe("Names the caller in logs and jobs."),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "must be 64 lower-case hex digits: the SHA-256 of the key")
    .describe("SHA-256 of the key, as `npm run api-key` prints it."),
  grants: grantsSchema.prefault({}),
});

const issuerSchema = z.strictObject({
  ...issuerFields,
  roleClaim: z
    .string()
    .min(1)
    .max(256)
    .default("roles")
    .describe("Claim that holds the caller's roles: a text or a list of texts. With `email` the address must be verified."),
  roles: z.record(z.string(), grantsSchema).describe("What each role may do. A caller of several roles may do what any of them may."),
});

/** `PERSISTOR_AUTH`: whether callers must show a key or a token, which keys there are, and whose tokens count. */
export const authSchema = z
  .strictObject({
    mode: z.enum(["open", "required"]).describe("`open`: every caller may do everything; `required`: a key or a token must be shown."),
    apiKeys: z.array(apiKeySchema).max(10_000).default([]).describe("The keys, by their hashes."),
    issuers: z.array(issuerSchema).max(100).default([]).describe("Whose tokens (OpenID Connect) are taken, and what they grant."),
  })
  .superRefine(({ apiKeys, issuers }, context) => {
    for (const field of ["id", "sha256"] as const) {
      for (const at of repeats(apiKeys.map((key) => key[field]))) {
        context.addIssue({ code: "custom", path: ["apiKeys", at, field], message: "stands there twice" });
      }
    }
    for (const at of repeats(issuers.map(({ issuer, audience }) => JSON.stringify([issuer, audience])))) {
      context.addIssue({ code: "custom", path: ["issuers", at], message: "its issuer and audience stand there twice" });
    }
  });

/** Where values stand that stood before. */
function repeats(values: readonly string[]): number[] {
  const seen = new Set<string>();
  return [...values.keys()].filter((at) => {
    const value = values[at] as string;
    return seen.has(value) || !seen.add(value);
  });
}

export type Grants = z.output<typeof grantsSchema>;
export type IssuerSettings = z.output<typeof issuerSchema>;
export type AuthSettings = z.output<typeof authSchema>;

/** Every caller may do everything. */
export const OPEN_AUTH: AuthSettings = { mode: "open", apiKeys: [], issuers: [] };

/** Nobody may do anything, until keys or issuers are set. */
export const CLOSED_AUTH: AuthSettings = { mode: "required", apiKeys: [], issuers: [] };
