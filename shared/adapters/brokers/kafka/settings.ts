import * as z from "zod";
import { COMPRESSIONS } from "./compressions.ts";

const ADDRESS = /^([^\s/:]+|\[[0-9a-fA-F:]+\]):(\d{1,5})$/;

const oauthSchema = z
  .strictObject({
    tokenEndpoint: z.url().describe("Where a token is asked for by OAuth's client credentials grant."),
    clientId: z.string().min(1),
    clientSecret: z.string().min(1),
    scope: z.string().optional(),
    audience: z.string().optional(),
    extensions: z
      .record(z.string().regex(/^[A-Za-z]+$/), z.string())
      .optional()
      .describe("SASL extensions, such as Confluent Cloud's `logicalCluster` and `identityPoolId`."),
  })
  .describe("Tokens of an OAuth server.");

const saslSchema = z
  .discriminatedUnion("mechanism", [
    z.strictObject({
      mechanism: z.enum(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
      username: z.string().min(1),
      password: z.string().min(1),
    }),
    z.strictObject({ mechanism: z.literal("OAUTHBEARER"), oauth: oauthSchema }),
  ])
  .describe("How this client says who it is.");

const tlsSchema = z
  .union([
    z.boolean(),
    z.strictObject({
      ca: z.string().min(1).optional().describe("Certificates, in PEM, of the authorities that are trusted. Default: those of Node."),
      cert: z.string().min(1).optional().describe("This client's own certificate, in PEM, where the brokers ask for one."),
      key: z.string().min(1).optional().describe("Its key, in PEM."),
      passphrase: z.string().optional(),
      serverName: z.string().min(1).optional().describe("The name that the brokers' certificates have. Default: the name of each broker."),
    }),
  ])
  .describe("Whether, and how, connections are encrypted.");

/** Settings of the broker `kafka`. */
export const kafkaSettings = z.strictObject({
  brokers: z
    .array(z.string().regex(ADDRESS, "must be host:port"))
    .min(1)
    .describe("`host:port` of some brokers of the cluster; the others are found through them."),
  tls: tlsSchema.default(false),
  sasl: saslSchema.optional(),
  clientId: z.string().min(1).max(200).default("persistor").describe("Name of this client in the brokers' logs and quotas."),
  compression: z.enum(COMPRESSIONS).default("none").describe("How batches are compressed that are published."),
  idempotent: z
    .boolean()
    .default(true)
    .describe("Brokers drop what a lost answer made this client send twice. `false` is for brokers that cannot."),
  maxMessageBytes: z
    .int()
    .min(1_000)
    .max(100_000_000)
    .default(1_000_000)
    .describe("Largest message that is published: somewhat less than the topics' `max.message.bytes`."),
});

export type KafkaSettings = z.output<typeof kafkaSettings>;

/** What only a source of Kafka is told. */
export const kafkaSourceSettings = z.strictObject({
  start: z
    .union([z.enum(["earliest", "latest"]), z.iso.datetime({ offset: true })], "must be earliest, latest or an RFC 3339 time")
    .default("earliest")
    .describe("Where a consumer group begins that has committed nothing: `earliest`, `latest`, or a time (RFC 3339)."),
  binding: z
    .enum(["drain", "classic"])
    .default("drain")
    .describe(
      "How a function app on Azure gets the messages: `drain` by a timer with this adapter, exact and in large batches; `classic` by the Kafka trigger, which makes text of keys, does not tell an absent key from an empty one, and stops at a record without a value (a tombstone).",
    ),
  isolation: z
    .enum(["committed", "uncommitted"])
    .default("committed")
    .describe("Whether to leave out what transactions aborted or have not ended."),
  sessionTimeoutMs: z
    .int()
    .min(1_000)
    .max(1_800_000)
    .default(10_000)
    .describe("After this time without a sign of life, a consumer's partitions go to others, in milliseconds."),
});

/** What only a destination of Kafka is told. */
export const kafkaDestinationSettings = z.strictObject({
  keep: z
    .array(z.enum(["partition", "timestamp"]))
    .default([])
    .describe("What a resubmitted message gets as it was at its source: its partition, its timestamp, or both."),
});

/** `host:port` as the client takes it. */
export function addressOf(text: string): { host: string; port: number } {
  const [, host = "", port = ""] = ADDRESS.exec(text) ?? [];
  return { host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
}
