import { app, type InvocationContext } from "@azure/functions";
import { decodeClassic } from "../../adapters/brokers/service-bus/classic.ts";
import { serviceBusSourceSettings } from "../../adapters/brokers/service-bus/settings.ts";
import { decodeBinding } from "../../adapters/brokers/service-bus/trigger.ts";
import { mapConcurrently } from "../../core/concurrency.ts";
import { errorText } from "../../core/errors.ts";
import type { Delivery, Source } from "../../core/ports/source.ts";
import { backOffMs } from "../../core/retry.ts";
import type { FunctionProcess } from "../function-process.ts";
import { openedOnce } from "../opened-once.ts";
import { settle } from "../settle.ts";
import { handleUnderLease } from "../under-lease.ts";
import { type BoundMessage, takeMessagesAsSent } from "./model-binding.ts";
import { outcomesOf } from "./outcomes.ts";
import type { Reading } from "./readings.ts";
import type { Settlement } from "./settlement.ts";

/** App settings of this name, and those that begin with it, say how the platform reaches Service Bus. */
const CONNECTION = "PERSISTOR_SERVICE_BUS";
const SETTLED_AT_ONCE = 64;
/** A batch that cannot be handled is held this long at most before it is given back: its locks go on meanwhile. */
const GIVE_BACK_AFTER = { firstDelayMs: 1_000, maxDelayMs: 10_000 } as const;

/** Registers the trigger of a queue or a subscription, as its `binding` says. */
export function registerServiceBus(process: FunctionProcess, reading: Reading): void {
  const { entity, sessions, deadLetterQueue, binding } = serviceBusSourceSettings.parse(reading.own ?? {});
  const isSdk = binding === "sdk";
  const suffix = deadLetterQueue ? "/$DeadLetterQueue" : "";
  const place =
    entity === "queue"
      ? { queueName: `${reading.topic}${suffix}` }
      : { topicName: reading.topic, subscriptionName: `${reading.subscription}${suffix}` };
  const how = isSdk ? { sdkBinding: true, autoCompleteMessages: false } : { dataType: "binary", autoCompleteMessages: true };
  if (isSdk) takeMessagesAsSent();
  app.generic(reading.name, {
    trigger: {
      type: "serviceBusTrigger",
      name: "messages",
      connection: CONNECTION,
      cardinality: "many",
      isSessionsEnabled: sessions && !deadLetterQueue,
      ...place,
      ...how,
    },
    handler: isSdk ? sdkHandler(process, reading) : classicHandler(process, reading),
  });
  if (!isSdk) {
    process.log.warn("a Service Bus trigger with the classic binding loses types and some ids; binding sdk or drain loses none", {
      function: reading.name,
    });
  }
}

/** Settles each message by itself. What is released keeps its lock: Service Bus delivers it again when that ends, and not at once. */
function sdkHandler(process: FunctionProcess, reading: Reading) {
  const { log, meter } = process;
  const openSettlement = openedOnce(async () => (await import("./settlement.ts")).createSettlement());
  return async (bound: readonly BoundMessage[]): Promise<void> => {
    const settlement = await openSettlement();
    const deliveries = bound.flatMap(({ content }): Delivery[] => {
      try {
        const { message, attempt, lockToken } = decodeBinding(content, reading);
        return [{ message, attempt, ackId: lockToken }];
      } catch (error) {
        // Without a lock token it cannot be settled; the others can.
        log.error("a message of the Service Bus trigger cannot be read", { function: reading.name, error: errorText(error) });
        return [];
      }
    });
    const source = settledBy(settlement, (error) => log.warn("settling a message failed; it comes again", { error: errorText(error) }));
    const handle = async (): Promise<void> => {
      const outcomes = await outcomesOf(
        reading,
        deliveries.map(({ message }) => message),
      );
      await settle(source, deliveries, outcomes, meter);
    };
    await handleUnderLease(deliveries, source, handle, process);
  };
}

function settledBy(settlement: Settlement, onFailure: (error: unknown) => void): Pick<Source, "acknowledge" | "release" | "extend"> {
  const each = async (deliveries: readonly Delivery[], call: (lockToken: string) => Promise<void>): Promise<number> => {
    const settled = await mapConcurrently(deliveries, SETTLED_AT_ONCE, ({ ackId }) =>
      call(ackId).then(
        () => 1,
        (error) => {
          onFailure(error);
          return 0;
        },
      ),
    );
    return settled.reduce((sum: number, count) => sum + count, 0);
  };
  return {
    acknowledge: (deliveries) => each(deliveries, settlement.complete),
    release: async () => undefined,
    extend: async (deliveries) => void (await each(deliveries, settlement.renewLock)),
  };
}

/** The platform settles a batch whole: it completes it, or gives all of it back where this throws. */
function classicHandler(process: FunctionProcess, reading: Reading) {
  return async (bodies: readonly Buffer[], { triggerMetadata = {} }: InvocationContext): Promise<void> => {
    const received = decodeClassic(bodies, triggerMetadata, reading);
    const outcomes = await outcomesOf(
      reading,
      received.map(({ message }) => message),
    );
    const released = outcomes.find((outcome) => outcome.kind === "released");
    if (released?.kind !== "released") return;
    const attempt = Math.max(...received.map((each) => each.attempt));
    await process.clock.sleep(backOffMs(attempt, GIVE_BACK_AFTER));
    throw released.error;
  };
}
