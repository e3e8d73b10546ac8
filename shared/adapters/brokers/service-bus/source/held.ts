import type { Taken } from "../../../support/pulling/gathering.ts";
import type { ServiceBusDelivery } from "./locks.ts";

/** What was received and is not handed over yet, in the order in which it came. */
export interface Held {
  add(delivery: ServiceBusDelivery): void;
  /** Hands over as many as fit, leased for the given time; returns whether more would fit. */
  moveTo(taken: Taken): boolean;
  /** Takes all that is held. */
  clear(): ServiceBusDelivery[];
}

/** Lease of what is handed over. */
export function createHeld(leaseMs: number): Held {
  let all: ServiceBusDelivery[] = [];
  return {
    add: (delivery) => void all.push(delivery),
    moveTo(taken) {
      let count = 0;
      for (const delivery of all) {
        if (delivery.state === "held") {
          if (!fits(delivery, taken)) break;
          delivery.state = "out";
          delivery.leaseUntilMs = performance.now() + leaseMs;
          taken.deliveries.push(delivery);
          taken.bytes += delivery.bytes;
        }
        count++;
      }
      all.splice(0, count);
      return all.length === 0 && taken.deliveries.length < taken.maxMessages && taken.bytes < taken.maxBytes;
    },
    clear() {
      const cleared = all;
      all = [];
      return cleared;
    },
  };
}

function fits({ bytes }: ServiceBusDelivery, taken: Taken): boolean {
  const { deliveries, maxMessages, maxBytes } = taken;
  return deliveries.length < maxMessages && (deliveries.length === 0 || taken.bytes + bytes <= maxBytes);
}
