import { z } from "zod";

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

/** `PERSISTOR_AUTH`: whether callers must show a key, and which keys there are. */
export const authSchema = z
  .strictObject({
    mode: z.enum(["open", "required"]).describe("`open`: every caller may do everything; `required`: a key must be shown."),
    apiKeys: z.array(apiKeySchema).max(10_000).default([]).describe("The keys, by their hashes."),
  })
  .superRefine(({ apiKeys }, context) => {
    for (const field of ["id", "sha256"] as const) {
      const seen = new Set<string>();
      for (const [position, key] of apiKeys.entries()) {
        if (seen.has(key[field])) context.addIssue({ code: "custom", path: ["apiKeys", position, field], message: "stands there twice" });
        seen.add(key[field]);
      }
    }
  });

export type Grants = z.output<typeof grantsSchema>;
export type AuthSettings = z.output<typeof authSchema>;

/** Every caller may do everything. */
export const OPEN_AUTH: AuthSettings = { mode: "open", apiKeys: [] };

/** Nobody may do anything, until keys are set. */
export const CLOSED_AUTH: AuthSettings = { mode: "required", apiKeys: [] };
