import { z } from "zod";
import { issuerFields } from "./issuer-settings.ts";

/** `PERSISTOR_TRIGGER_AUTH`: whose tokens open the functions that a broker or a scheduler calls. */
export const triggerAuthSchema = z.discriminatedUnion("mode", [
  z.strictObject({ mode: z.literal("open").describe("Every caller may trigger: for functions that only their broker can reach.") }),
  z.strictObject({
    mode: z.literal("required").describe("A token must be shown."),
    issuer: issuerFields.issuer.default("https://accounts.google.com"),
    jwksUri: issuerFields.jwksUri,
    audience: issuerFields.audience.describe("The token's audience, as the push subscription and the scheduler set it."),
    serviceAccounts: z.array(z.email()).min(1).describe("The service accounts that may call."),
  }),
]);

export type TriggerAuthSettings = z.output<typeof triggerAuthSchema>;
