import type { Delivery, Sender, Typed } from "rhea";
import { string } from "./amqp-bytes.ts";
import { lockLost } from "./errors.ts";
import type { Faults } from "./faults.ts";
import { keyOfTag } from "./lock-token.ts";
import { deadLetter, type Outcome } from "./outcome.ts";
import type { Queue } from "./queue.ts";
import { accepted, apart, encoded, rejected, settleForGood } from "./rhea-server.ts";

export interface SettlingSetup {
  sender: Sender;
  /** As the client named it. */
  address: string;
  queue: Queue;
  faults: Faults;
  drop(): void;
}

const EVENTS = ["accepted", "released", "modified", "rejected"] as const;

/** Settles what a client settles over the link that delivered it. */
export function openSettling({ sender, address, queue, faults, drop }: SettlingSetup): void {
  for (const event of EVENTS) {
    sender.on(event, ({ delivery }) => {
      if (!delivery || delivery.settled) return;
      faults.meet({
        event: "settlement",
        entity: address,
        count: 1,
        take() {
          const isSettled = queue.settle(keyOfTag(delivery.tag as Buffer), outcomeOf(event, delivery));
          return isSettled ? undefined : lockLost(queue.sessions !== undefined);
        },
        // An error in the state means failure to the client, whatever the outcome: success is told by `accepted` alone.
        answer: apart((error) => settleForGood(delivery, error ? rejected(error) : accepted())),
        drop,
      });
    });
  }
}

/** What a client wants to become of a delivery. */
function outcomeOf(event: (typeof EVENTS)[number], { remote_state }: Delivery): Outcome {
  const fields = (remote_state as unknown as { value: readonly Typed[] }).value;
  switch (event) {
    case "accepted":
      return { kind: "complete" };
    case "released":
      return { kind: "abandon", isCounted: false, changes: [] };
    case "modified": {
      const changes = changesOf(fields[2]);
      return fields[1]?.value ? { kind: "defer", changes } : { kind: "abandon", isCounted: true, changes };
    }
    case "rejected": {
      const error = fields[0]?.value as readonly Typed[] | undefined;
      return deadLetter(changesOf(error?.[2]));
    }
  }
}

/** Application properties out of a map: keys, which may be symbols, and values in turn. */
function changesOf(map: Typed | undefined): Buffer[] {
  const items = (map?.value ?? []) as readonly Typed[];
  return items.map((item, i) => (i % 2 === 0 ? string(String(item.value)) : encoded(item)));
}
