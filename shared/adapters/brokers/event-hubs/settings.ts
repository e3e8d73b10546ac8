import * as z from "zod";
import { azureIdentitySettings } from "../../support/azure-credential.ts";

const DEFAULT_CONTAINER = "persistor-checkpoints";

const containerSchema = z
  .string()
  .regex(
    /^(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*$/,
    "must be a container's name: 3 to 63 lower-case letters, digits and single dashes between them",
  );

const connectionStringSchema = z
  .string()
  .refine(
    (text) => /(^|;)\s*Endpoint=sb:\/\/[^;]+/i.test(text) && /(^|;)\s*SharedAccess(Key|Signature)=[^;]+/i.test(text),
    "must be a connection string: Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…",
  );

/** Settings of the broker `event-hubs`. */
export const eventHubsSettings = z
  .strictObject({
    connectionString: connectionStringSchema.optional(),
    fullyQualifiedNamespace: z
      .string()
      .regex(/^[A-Za-z0-9.-]+$/, "must be a host's name, such as name.servicebus.windows.net")
      .optional(),
    ...azureIdentitySettings.shape,
    /** The service's own limit is 1,048,576 bytes with all that encloses the message, or 262,144 in the Basic tier. */
    maxMessageBytes: z.int().min(1_000).max(100_000_000).default(1_000_000),
    /** The storage account of the checkpoints; sources need it. */
    storage: z
      .strictObject({
        connectionString: z.string().min(1).optional(),
        blobServiceUri: z.string().min(1).optional(),
        ...azureIdentitySettings.shape,
      })
      .optional(),
    checkpointContainer: containerSchema.default(DEFAULT_CONTAINER),
  })
  .refine((settings) => (settings.connectionString === undefined) !== (settings.fullyQualifiedNamespace === undefined), {
    message: "set either PERSISTOR_EVENT_HUBS or PERSISTOR_EVENT_HUBS__fullyQualifiedNamespace",
  });

export type EventHubsSettings = z.output<typeof eventHubsSettings>;

/** What only a source of Event Hubs is told. */
export const eventHubsSourceSettings = z.strictObject({
  start: z
    .union([z.enum(["earliest", "latest"]), z.iso.datetime({ offset: true })], "must be earliest, latest or an RFC 3339 time")
    .default("earliest")
    .describe("Where a consumer group begins that has committed nothing: `earliest`, `latest`, or a time (RFC 3339)."),
  checkpointContainer: containerSchema
    .optional()
    .describe(`Container of the checkpoints, made where it is missing. Default: \`${DEFAULT_CONTAINER}\`.`),
  binding: z
    .enum(["drain", "classic"])
    .default("drain")
    .describe(
      "How a function app gets the messages: `drain` by a timer, exact and in large batches; `classic` by a trigger that loses the types of properties.",
    ),
});

export type EventHubsSourceSettings = z.output<typeof eventHubsSourceSettings>;

/** What only a destination of Event Hubs is told. */
export const eventHubsDestinationSettings = z.strictObject({
  keep: z
    .array(z.enum(["partition"]))
    .default([])
    .describe("What a resubmitted message gets as it was at its source: its partition."),
});

/** The event hub that a connection string is for alone; undefined where it is for the namespace. */
export function hubOf(connectionString: string | undefined): string | undefined {
  return /(?:^|;)\s*EntityPath=([^;]+)/i.exec(connectionString ?? "")?.[1]?.trim();
}
