import * as z from "zod";

/** Settings of a store of kind `gcs`: what a pipeline or `PERSISTOR_STORES` says of it. */
export const gcsStoreSettings = z.strictObject({
  bucket: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/, "must be a bucket's name, without gs://")
    .describe("The bucket, which must exist."),
});

/** What all stores of kind `gcs` of a process share. */
export const gcsProcessSettings = z.strictObject({
  /** Default: what the credentials name. */
  projectId: z.string().min(1).optional(),
  /** Base URL of a server in place of Cloud Storage, which is used without credentials. */
  emulatorUrl: z
    .url({ protocol: /^https?$/, error: "must be a URL that begins with http:// or https://" })
    .refine((url) => !url.includes("@"), "must hold no credentials")
    .optional(),
});
