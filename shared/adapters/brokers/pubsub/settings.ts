import * as z from "zod";

/** Settings of the broker `pubsub`. */
export const pubsubSettings = z.strictObject({
  /** Default: what the credentials name. */
  projectId: z.string().min(1).optional(),
  /** `host:port` of an emulator in place of Pub/Sub, without credentials. */
  emulatorHost: z
    .string()
    .regex(/^[^/\s]+:\d+$/, "must be host:port")
    .optional(),
});
