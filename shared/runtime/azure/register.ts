import type { FunctionProcess } from "../function-process.ts";
import type { SourceKind } from "../settings/pipelines.ts";
import { registerEventGrid } from "./event-grid-trigger.ts";
import { registerEventHub } from "./event-hubs-trigger.ts";
import { registerKafka } from "./kafka-trigger.ts";
import type { Reading } from "./readings.ts";
import { registerServiceBus } from "./service-bus-trigger.ts";

const TRIGGERS: Readonly<Partial<Record<string, (process: FunctionProcess, reading: Reading) => void>>> = {
  "service-bus": registerServiceBus,
  "event-hubs": registerEventHub,
  "event-grid": registerEventGrid,
  kafka: registerKafka,
};

/** Registers the triggers of what is read from one broker, but for what a timer drains. */
export function registerTriggers(process: FunctionProcess, readings: readonly Reading[], broker: string): void {
  for (const reading of readings) if (reading.broker === broker && !isDrained(reading)) TRIGGERS[broker]?.(process, reading);
}

/** Whether a timer drains a source: where its `binding` says so, and where Azure has no trigger for its broker. */
export function isDrained({ broker, own }: { broker: SourceKind; own?: Readonly<Record<string, unknown>> | undefined }): boolean {
  return TRIGGERS[broker] === undefined || own?.["binding"] === "drain";
}
