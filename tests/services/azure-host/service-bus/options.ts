import { type Namespace, namespaceOf } from "../amqp/connection-string.ts";
import type { AppSettings } from "../app-settings.ts";
import { dataTypeOf, isMany, textOption } from "../functions.ts";
import type { HostJson } from "../host-json.ts";
import { payloadForm } from "../payload.ts";
import type { Binding } from "../rpc.ts";
import type { ServiceBusForm } from "./input.ts";

/** A Service Bus trigger: its binding, and host.json's `extensions.serviceBus` with the defaults of ServiceBusOptions. */
export interface ServiceBusOptions {
  namespace: Namespace;
  /** `queue` or `topic/Subscriptions/subscription`. */
  entity: string;
  hasSessions: boolean;
  isMany: boolean;
  form: ServiceBusForm;
  autoComplete: boolean;
  prefetchCount: number;
  maxBatchSize: number;
  minBatchSize: number;
  maxBatchWaitMs: number;
  maxConcurrentCalls: number;
  maxConcurrentSessions: number;
  maxAutoLockRenewalMs: number;
  /** How long a batch, or a session's next message, is waited for: the SDK's try timeout. */
  waitMs: number;
}

const WAIT_MS = 60_000;
const CALLS_PER_CORE = 16;

export function serviceBusOptions(binding: Binding, settings: AppSettings, hostJson: HostJson, cores: number): ServiceBusOptions {
  const section = hostJson.extension("serviceBus");
  const isSdk = binding.properties?.supportsDeferredBinding === "true";
  const own = binding["autoCompleteMessages"];
  return {
    namespace: namespaceOf(settings.connection(String(binding["connection"] ?? "ServiceBus"))),
    entity: entityOf(binding, settings),
    hasSessions: binding["isSessionsEnabled"] === true,
    isMany: isMany(binding),
    form: isSdk ? "sdk" : payloadForm(dataTypeOf(binding)),
    autoComplete: typeof own === "boolean" ? own : section.boolean("autoCompleteMessages", true),
    prefetchCount: section.number("prefetchCount", 0),
    maxBatchSize: section.number("maxMessageBatchSize", 1_000),
    minBatchSize: section.number("minMessageBatchSize", 1),
    maxBatchWaitMs: section.timeMs("maxBatchWaitTime", 30_000),
    maxConcurrentCalls: section.number("maxConcurrentCalls", CALLS_PER_CORE * cores),
    maxConcurrentSessions: section.number("maxConcurrentSessions", 8),
    maxAutoLockRenewalMs: section.timeMs("maxAutoLockRenewalDuration", 300_000),
    waitMs: section.timeMs("sessionIdleTimeout", WAIT_MS),
  };
}

function entityOf(binding: Binding, settings: AppSettings): string {
  if (binding["queueName"] !== undefined) return textOption(binding, "queueName", settings);
  return `${textOption(binding, "topicName", settings)}/Subscriptions/${textOption(binding, "subscriptionName", settings)}`;
}
