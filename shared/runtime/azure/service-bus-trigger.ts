import { app, type InvocationContext } from "@azure/functions";
import { decodeClassic } from "../../adapters/brokers/service-bus/classic.ts";
import { isReadBySession, serviceBusSourceSettings } from "../../adapters/brokers/service-bus/settings.ts";
import { type Bound, decodeBinding } from "../../adapters/brokers/service-bus/trigger.ts";
import { errorText } from "../../core/errors.ts";
import type { Delivery } from "../../core/ports/source.ts";
import { backOffMs } from "../../core/retry.ts";
import type { FunctionProcess } from "../function-process.ts";
import { openedOnce } from "../opened-once.ts";
import { settle } from "../settle.ts";
import { EXTEND_EVERY_MS, handleUnderLease } from "../under-lease.ts";
import { type BoundMessage, takeMessagesAsSent } from "./model-binding.ts";
import { outcomesOf } from "./outcomes.ts";
import type { Reading } from "./readings.ts";
import { settledBy } from "./settling.ts";

/** App settings of this name, and those that begin with it, say how the platform reaches Service Bus. */
const CONNECTION = "PERSISTOR_SERVICE_BUS";
/** No lock of Service Bus is shorter than five seconds. A session does not say when its lock ends, so that is renewed this often. */
const RENEW_EVERY_MS_AT_LEAST = 2_000;
/** A batch that cannot be handled is held this long at most before it is given back: its locks go on meanwhile. */
const GIVE_BACK_AFTER = { firstDelayMs: 1_000, maxDelayMs: 10_000 } as const;

/** Registers the trigger of a queue or a subscription, as its `binding` says. */
export function registerServiceBus(process: FunctionProcess, reading: Reading): void {
  const own = serviceBusSourceSettings.parse(reading.own ?? {});
  const { entity, deadLetterQueue, binding } = own;
  const isSdk = binding === "sdk";
  const isOfSessions = isReadBySession(own);
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
      cardinality: reading.isLongWork && isSdk ? "one" : "many",
      isSessionsEnabled: isOfSessions,
      ...place,
      ...how,
    },
    handler: isSdk ? sdkHandler(process, reading, isOfSessions) : classicHandler(process, reading),
  });
  if (!isSdk) {
    process.log.warn("a Service Bus trigger with the classic binding loses types and some ids; binding sdk or drain loses none", {
      function: reading.name,
    });
  }
}

/**
 * Settles each message by itself, and never fails: what is released, or cannot even be read, keeps its lock, and Service Bus delivers it again
 * when that ends. A batch that failed would come again at once, until all its deliveries are used up.
 */
function sdkHandler(process: FunctionProcess, reading: Reading, isOfSessions: boolean) {
  const { clock, log, meter } = process;
  const openSettlement = openedOnce(async () => (await import("./settlement.ts")).createSettlement());
  const handleAll = async (bound: readonly BoundMessage[]): Promise<void> => {
    const source = settledBy(await openSettlement(), isOfSessions, log);
    const held = bound.flatMap((message) => readBound(message, reading, process));
    const deliveries = held.map(({ message, attempt, lockToken }): Delivery => ({ message, attempt, ackId: lockToken }));
    const handle = async (): Promise<void> => {
      const outcomes = await outcomesOf(
        reading,
        deliveries.map(({ message }) => message),
      );
      await settle(source, deliveries, outcomes, meter);
    };
    const renewMs = isOfSessions ? RENEW_EVERY_MS_AT_LEAST : renewEveryMs(held, clock.nowMs());
    await handleUnderLease(deliveries, source, handle, process, renewMs);
  };
  return (bound: readonly BoundMessage[]): Promise<void> =>
    handleAll(bound).catch((error) => log.error("messages of the Service Bus trigger cannot be handled", { ...fieldsOf(reading), error }));
}

function fieldsOf({ name }: Reading) {
  return { function: name };
}

/** Without a lock token a message cannot be settled; the others can. */
function readBound({ content }: BoundMessage, reading: Reading, { log }: FunctionProcess): Bound[] {
  try {
    return [decodeBinding(content, reading)];
  } catch (error) {
    log.error("a message of the Service Bus trigger cannot be read", { ...fieldsOf(reading), error: errorText(error) });
    return [];
  }
}

/** Half of the time that the first lock has left. */
function renewEveryMs(held: readonly Bound[], nowMs: number): number {
  const ends = held.map(({ lockedUntilMs }) => lockedUntilMs).filter((ms) => ms > 0);
  return Math.max(RENEW_EVERY_MS_AT_LEAST, Math.min(EXTEND_EVERY_MS, (Math.min(...ends) - nowMs) / 2));
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
