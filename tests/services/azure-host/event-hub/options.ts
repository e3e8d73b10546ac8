import { type Namespace, namespaceOf } from "../amqp/connection-string.ts";
import type { AppSettings } from "../app-settings.ts";
import { dataTypeOf, isMany, textOption } from "../functions.ts";
import type { HostJson } from "../host-json.ts";
import { type PayloadForm, payloadForm } from "../payload.ts";
import type { Binding } from "../rpc.ts";

/** An Event Hubs trigger: its binding, and host.json's `extensions.eventHubs` with the defaults of EventHubOptions. */
export interface EventHubOptions {
  namespace: Namespace;
  eventHubName: string;
  consumerGroup: string;
  isMany: boolean;
  form: PayloadForm;
  maxBatchSize: number;
  minBatchSize: number;
  maxWaitMs: number;
  prefetchCount: number;
  batchCheckpointFrequency: number;
  /** The selector of a partition without a checkpoint. */
  initialSelector: string;
}

export function eventHubOptions(binding: Binding, settings: AppSettings, hostJson: HostJson): EventHubOptions {
  const section = hostJson.extension("eventHubs");
  const namespace = namespaceOf(settings.connection(String(binding["connection"] ?? "EventHub")));
  return {
    namespace,
    // An EntityPath in the connection string wins (EventHubClientFactory).
    eventHubName: namespace.entityPath ?? textOption(binding, "eventHubName", settings),
    consumerGroup: binding["consumerGroup"] === undefined ? "$Default" : textOption(binding, "consumerGroup", settings),
    isMany: isMany(binding),
    form: payloadForm(dataTypeOf(binding)),
    maxBatchSize: section.number("maxEventBatchSize", 100),
    minBatchSize: section.number("minEventBatchSize", 1),
    maxWaitMs: section.timeMs("maxWaitTime", 60_000),
    prefetchCount: section.number("prefetchCount", 300),
    batchCheckpointFrequency: section.number("batchCheckpointFrequency", 1),
    initialSelector: initialSelector(section.section("initialOffsetOptions")),
  };
}

function initialSelector(initial: { text(name: string, fallback: string): string }): string {
  switch (initial.text("type", "fromStart").toLowerCase()) {
    case "fromend":
      return "amqp.annotation.x-opt-offset > '@latest'";
    case "fromenqueuedtime":
      return `amqp.annotation.x-opt-enqueued-time > '${Date.parse(initial.text("enqueuedTimeUtc", ""))}'`;
    default:
      return "amqp.annotation.x-opt-offset > '-1'";
  }
}

export const selectorAfter = (offset: string): string => `amqp.annotation.x-opt-offset > '${offset}'`;
