import { readFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import type { ConnectionOptions } from "@platformatic/kafka";
import type { AppSettings } from "../app-settings.ts";
import { dataTypeOf, isMany } from "../functions.ts";
import type { HostJson } from "../host-json.ts";
import { type PayloadForm, payloadForm } from "../payload.ts";
import type { Binding } from "../rpc.ts";

/** A Kafka trigger: its binding, and host.json's `extensions.kafka` with the defaults of the extension's KafkaOptions. */
export interface KafkaOptions {
  brokers: string[];
  topic: string;
  consumerGroup: string;
  connection: Pick<ConnectionOptions, "tls" | "sasl">;
  isMany: boolean;
  form: PayloadForm;
  maxBatchSize: number;
  /** How long a batch gathers at most. */
  intervalMs: number;
  /** How often offsets that are done with are committed. */
  commitIntervalMs: number;
  commitOnFailure: boolean;
  /** -1: for ever. */
  maxRetries: number;
  sessionTimeoutMs: number;
  isFromLatest: boolean;
}

const MECHANISMS: Readonly<Record<string, "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512">> = {
  plain: "PLAIN",
  scramsha256: "SCRAM-SHA-256",
  scramsha512: "SCRAM-SHA-512",
};

/** Throws where the binding misses something; a batch without a `dataType` is refused, as the host cannot make an array of objects of it. */
export function kafkaOptions(binding: Binding, settings: AppSettings, hostJson: HostJson, appDir: string): KafkaOptions {
  const section = hostJson.extension("kafka");
  const form = payloadForm(dataTypeOf(binding));
  if (isMany(binding) && form === "none")
    throw new Error("binding 'kafkaTrigger': cardinality 'many' needs a 'dataType'; set it to 'binary' or 'string'");
  const text = secureSettings(binding, settings);
  return {
    brokers: need(text, "brokerList").split(","),
    topic: need(text, "topic"),
    consumerGroup: need(text, "consumerGroup"),
    connection: connectionOf(text, appDir),
    isMany: isMany(binding),
    form,
    maxBatchSize: section.number("maxBatchSize", 64),
    intervalMs: section.number("subscriberIntervalInSeconds", 1) * 1_000,
    commitIntervalMs: section.number("autoCommitIntervalMs", 200),
    commitOnFailure: section.boolean("commitOnFailure", true),
    maxRetries: section.number("maxRetries", 5),
    sessionTimeoutMs: section.number("sessionTimeoutMs", 10_000),
    isFromLatest: section.text("autoOffsetReset", "earliest").toLowerCase() === "latest",
  };
}

type Texts = (name: string) => string | undefined;

/** The name of an app setting, or a text with `%NAME%` in it (ConfigurationExtensions.ResolveSecureSetting). */
const secureSettings =
  (binding: Binding, settings: AppSettings): Texts =>
  (name) => {
    const value = binding[name];
    return typeof value === "string" && value !== "" ? (settings.find(value) ?? settings.resolve(value)) : undefined;
  };

function need(text: Texts, name: string): string {
  const value = text(name);
  if (value === undefined) throw new Error(`binding 'kafkaTrigger': '${name}' is missing; set it`);
  return value;
}

function connectionOf(text: Texts, appDir: string): KafkaOptions["connection"] {
  const protocol = (text("protocol") ?? "plaintext").toLowerCase();
  const location = text("sslCaLocation");
  const ca = location === undefined ? undefined : readFileSync(isAbsolute(location) ? location : join(appDir, location));
  return {
    ...(protocol.endsWith("ssl") && { tls: ca ? { ca } : {} }),
    ...(protocol.startsWith("sasl") && { sasl: saslOf(text) }),
  };
}

function saslOf(text: Texts) {
  const mode = text("authenticationMode") ?? "plain";
  const mechanism = MECHANISMS[mode.toLowerCase()];
  if (!mechanism) throw new Error(`binding 'kafkaTrigger': authenticationMode '${mode}' is not known here`);
  return { mechanism, username: need(text, "username"), password: need(text, "password") };
}
