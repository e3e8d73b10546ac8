import * as z from "zod";
import { azureIdentitySettings } from "../../support/azure-credential.ts";

/** Settings of the broker `service-bus`. */
export const serviceBusSettings = z
  .strictObject({
    /** Of the namespace; either this or `fullyQualifiedNamespace`. */
    connectionString: z.string().min(1).optional(),
    /** `<namespace>.servicebus.windows.net`, where an identity is the credential. */
    fullyQualifiedNamespace: z.string().min(1).optional(),
    ...azureIdentitySettings.shape,
    /** Bytes of one message at most; also what a message is taken for before there was any. Default: what a Standard namespace takes. */
    maxMessageBytes: z.int().min(1_000).max(100_000_000).default(250_000),
  })
  .refine((settings) => (settings.connectionString === undefined) !== (settings.fullyQualifiedNamespace === undefined), {
    message: "set either PERSISTOR_SERVICE_BUS or PERSISTOR_SERVICE_BUS__fullyQualifiedNamespace",
  });

export type ServiceBusSettings = z.output<typeof serviceBusSettings>;

/** What only a source of Service Bus is told. */
export const serviceBusSourceSettings = z.strictObject({
  entity: z.enum(["topic", "queue"]).default("topic").describe("Whether `topic` names a topic, read by its `subscription`, or a queue."),
  sessions: z.boolean().default(false).describe("Whether the subscription or queue asks for sessions."),
  deadLetterQueue: z
    .boolean()
    .default(false)
    .describe("Reads the dead-letter queue that Service Bus keeps for the subscription or queue, in place of it."),
  binding: z
    .enum(["sdk", "drain", "classic"])
    .default("sdk")
    .describe(
      "How a function app gets the messages: `sdk` by a trigger with the exact message; `drain` by a timer, in large batches; `classic` by a trigger that loses types and some ids, without a preview of the platform's.",
    ),
});

export type ServiceBusSourceSettings = z.output<typeof serviceBusSourceSettings>;

/** Whether the messages are read session by session: a dead-letter queue has no sessions, even of an entity that asks for them. */
export function isReadBySession({ sessions, deadLetterQueue }: Partial<ServiceBusSourceSettings>): boolean {
  return sessions === true && deadLetterQueue !== true;
}
