import type { ServiceBusReceivedMessage, ServiceBusReceiver } from "@azure/service-bus";
import type { Delivery } from "../../../core/ports/source.ts";
import type { Received } from "./message.ts";

/** A message that Service Bus has given us under a lock. */
export interface Open extends Received {
  readonly bytes: number;
  readonly receiver: ServiceBusReceiver;
  readonly received: ServiceBusReceivedMessage;
  /** Until when we want it, by `Date.now()`: the lock is renewed until then, and then given back. */
  leaseUntilMs: number;
  /** `held`: not handed over yet; `out`: handed over; `ended`: given back, to be so at the end of its lease. */
  state: "held" | "out" | "ended";
  /** Says that the receiver may take another one. */
  done(): void;
}

/** A delivery that knows what it hands over. */
export interface ServiceBusDelivery extends Delivery {
  readonly open: Open;
}

/** What is handed over by a delivery; undefined where it is not ours any more. */
export function openOf(delivery: Delivery): Open | undefined {
  const { open } = delivery as Partial<ServiceBusDelivery>;
  return open?.state === "out" ? open : undefined;
}
