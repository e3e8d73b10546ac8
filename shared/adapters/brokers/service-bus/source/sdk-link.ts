import type { ServiceBusReceiver, ServiceBusSessionReceiver } from "@azure/service-bus";
import rhea, { type AmqpError, type Receiver as AmqpLink, type EventContext, type Delivery as Transfer } from "rhea";
import { endsWithin } from "../../../support/within.ts";

/*
 * What is used of the SDK and of rhea, its AMQP library, beyond their documented surface, in one place; written against @azure/service-bus 7.9.5 and
 * rhea 3.0.5. The SDK opens the links, shows its tokens and connects again. What comes over a link is taken from it encoded and settled there, because
 * the SDK decodes messages into values that have lost their types, keeps them with a timer and several promises each until they are settled, and
 * takes a delivery of a link that is gone for one of the link that came after it.
 */

export type { AmqpError, AmqpLink, Transfer };

export type AnyReceiver = ServiceBusReceiver | ServiceBusSessionReceiver;

interface Internals {
  _streamingReceiver?: { link?: { _link: AmqpLink } };
  _messageSession?: { link?: { _link: AmqpLink } };
}

/** The link of a receiver that has subscribed, or of an accepted session; undefined where there is none. */
export function linkOf(receiver: AnyReceiver): AmqpLink | undefined {
  const { _streamingReceiver, _messageSession } = receiver as unknown as Internals;
  return (_messageSession ?? _streamingReceiver)?.link?._link;
}

export interface LinkHandlers {
  onMessage(bytes: Buffer, transfer: Transfer): void;
  /** The broker has settled; `error` is why it did not as it was asked to. */
  onSettled(transfer: Transfer, error: AmqpError | undefined): void;
}

const DRAINED_WITHIN_MS = 500;

/**
 * Takes back what a link may still be sent; false where the broker does not answer to that. The SDK does this too, before it stops receiving; where it
 * has no answer it closes the link, and where that has none either, it ends the process a minute later by a rejection that nobody handles.
 */
export async function drain(link: AmqpLink): Promise<boolean> {
  if (!link.is_open() || !link.has_credit()) return true;
  const drained = Promise.withResolvers<void>();
  link.once("receiver_drained", drained.resolve);
  link.drain_credit();
  const isDrained = await endsWithin(DRAINED_WITHIN_MS, drained.promise);
  link.removeListener("receiver_drained", drained.resolve);
  link.drain = false;
  return isDrained || !link.is_open();
}

/** Any message format but 0: rhea hands such messages over as they are. */
const ENCODED = 1;

interface TransferTaker {
  on_transfer(frame: { performative: { message_format: number } }): void;
}

/** Has all that comes over a link handed over here and not to the SDK; before the link has credit. */
export function takeOver(link: AmqpLink, { onMessage, onSettled }: LinkHandlers): void {
  const session = link.session as unknown as TransferTaker;
  const take = session.on_transfer.bind(session);
  session.on_transfer = (frame) => {
    frame.performative.message_format = ENCODED;
    take(frame);
  };
  link.removeAllListeners("message");
  link.on("message", ({ message, delivery }: EventContext) => onMessage(message as unknown as Buffer, delivery as Transfer));
  link.removeAllListeners("settled");
  link.on("settled", ({ delivery }: EventContext) => onSettled(delivery as Transfer, errorOf(delivery as Transfer)));
}

function errorOf({ remote_state }: Transfer): AmqpError | undefined {
  return (remote_state as { error?: AmqpError } | undefined)?.error ?? undefined;
}

/** What is to become of a locked message. */
export type Ending = "complete" | "abandon";

interface Outcomes {
  accepted(): { described(): unknown };
  modified(fields: { undeliverable_here: boolean }): { described(): unknown };
}

const outcomes = rhea.message as unknown as Outcomes;
const STATES: Readonly<Record<Ending, unknown>> = {
  complete: outcomes.accepted().described(),
  abandon: outcomes.modified({ undeliverable_here: false }).described(),
};

interface Incoming {
  /** What is to be said with the next frames. */
  updated: readonly { state: unknown }[];
  process(session: unknown): void;
}

/**
 * Asks for an ending over the link that the message came over; `onSettled` tells what came of it. rhea joins two deliveries in turn to one statement
 * without a look whether they are to end the same way: those that are not are said before.
 */
export function askFor(transfer: Transfer, ending: Ending): void {
  const { session } = transfer.link as unknown as { session: { incoming: Incoming } };
  const before = session.incoming.updated.at(-1);
  if (before && before.state !== STATES[ending]) session.incoming.process(session);
  transfer.update(false, STATES[ending]);
}

/** Has rhea give up the place of a delivery; nothing is said to the broker. */
export function forget(transfer: Transfer): void {
  (transfer as { settled: boolean }).settled = true;
}

export interface CallOptions {
  timeoutInMs: number;
  abortSignal: AbortSignal;
}

/** The management link of a queue or subscription. */
export interface Management {
  updateDispositionStatus(lockToken: string, ending: Ending, options: CallOptions): Promise<void>;
  renewLock(lockToken: string, options: CallOptions): Promise<Date>;
}

/** Of the SDK's own calls over it one cannot say how long they may take. */
export function managementOf(receiver: AnyReceiver): Management {
  const { _context } = receiver as unknown as { _context: { getManagementClient(entityPath: string): Management } };
  return _context.getManagementClient(receiver.entityPath);
}
