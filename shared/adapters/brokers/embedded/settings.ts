import * as z from "zod";

const DEFAULT_RETENTION_HOURS = 168;

/** Settings of the embedded broker. */
export const embeddedBrokerSettings = z.strictObject({
  retentionHours: z
    .number()
    .positive()
    .max(24 * 365 * 100)
    .default(DEFAULT_RETENTION_HOURS)
    .describe("How many hours a topic keeps its messages. What a durable subscription has not settled stays longer. Default 168 (a week)."),
});

export type EmbeddedBrokerSettings = z.input<typeof embeddedBrokerSettings>;
