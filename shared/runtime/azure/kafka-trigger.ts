import { app, type InvocationContext } from "@azure/functions";
import { decodeClassic } from "../../adapters/brokers/kafka/classic.ts";
import type { KafkaSettings } from "../../adapters/brokers/kafka/settings.ts";
import { Unsupported } from "../../core/errors.ts";
import type { FunctionProcess } from "../function-process.ts";
import { handleUntilDone } from "./outcomes.ts";
import type { Reading } from "./readings.ts";
import { BUDGET_MS, FOR_EVER } from "./retrying.ts";

/** App setting that holds the password for the platform, which cannot look into PERSISTOR_KAFKA. */
const PASSWORD = "%PERSISTOR_KAFKA_TRIGGER_PASSWORD%";
/** Names of the mechanisms in the Kafka extension. */
const MECHANISMS = { PLAIN: "Plain", "SCRAM-SHA-256": "ScramSha256", "SCRAM-SHA-512": "ScramSha512" } as const;
const LOSSES = "a Kafka trigger makes text of keys and stops at records without a value; binding drain loses none";

/** Registers the trigger of a Kafka topic. Throws Unsupported for a way to log in that it does not do; the settings' checks refuse it first. */
export function registerKafka(process: FunctionProcess, reading: Reading): void {
  const { name, topic, subscription, own } = reading;
  if (own?.["binding"] === "classic") process.log.warn(LOSSES, { function: name });
  app.generic(name, {
    trigger: {
      type: "kafkaTrigger",
      name: "records",
      topic,
      consumerGroup: subscription,
      cardinality: "MANY",
      dataType: "binary",
      ...connectionOf(process.settings.adapters["kafka"] as unknown as KafkaSettings),
    },
    // For extensions that do not know host.json's commitOnFailure and maxRetries: they commit a batch that failed.
    retry: FOR_EVER,
    async handler(values: readonly Buffer[], { triggerMetadata = {} }: InvocationContext): Promise<void> {
      await handleUntilDone(reading, decodeClassic(values, triggerMetadata, reading), BUDGET_MS, process);
    },
  });
}

function connectionOf({ brokers, tls, sasl }: KafkaSettings): Record<string, string> {
  const brokerList = brokers.join(",");
  const isEncrypted = tls !== false;
  if (!sasl) return { brokerList, protocol: isEncrypted ? "Ssl" : "Plaintext" };
  if (sasl.mechanism === "OAUTHBEARER") throw new Unsupported("registering a Kafka trigger: it does not do OAUTHBEARER");
  return {
    brokerList,
    protocol: isEncrypted ? "SaslSsl" : "SaslPlaintext",
    authenticationMode: MECHANISMS[sasl.mechanism],
    username: sasl.username,
    password: PASSWORD,
  };
}
