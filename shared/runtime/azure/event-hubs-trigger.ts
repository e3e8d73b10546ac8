import { app, type InvocationContext } from "@azure/functions";
import { decodeClassic } from "../../adapters/brokers/event-hubs/classic.ts";
import type { FunctionProcess } from "../function-process.ts";
import { handleUntilDone } from "./outcomes.ts";
import type { Reading } from "./readings.ts";
import { BUDGET_MS, FOR_EVER } from "./retrying.ts";

/** App settings of this name, and those that begin with it, say how the platform reaches Event Hubs. */
const CONNECTION = "PERSISTOR_EVENT_HUBS";

const LOSSES = "an Event Hubs trigger loses types and stops at events that are no bytes; binding drain loses none";

/** Registers the trigger of an event hub. */
export function registerEventHub(process: FunctionProcess, reading: Reading): void {
  const { name, topic, subscription, own } = reading;
  if (own?.["binding"] === "classic") process.log.warn(LOSSES, { function: name });
  app.generic(name, {
    trigger: {
      type: "eventHubTrigger",
      name: "events",
      connection: CONNECTION,
      eventHubName: topic,
      consumerGroup: subscription,
      cardinality: "many",
      dataType: "binary",
    },
    retry: FOR_EVER,
    async handler(bodies: readonly Buffer[], { triggerMetadata = {} }: InvocationContext): Promise<void> {
      await handleUntilDone(reading, decodeClassic(bodies, triggerMetadata, reading), BUDGET_MS, process);
    },
  });
}
