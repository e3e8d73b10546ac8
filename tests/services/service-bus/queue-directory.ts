import { parseAddress } from "./address.ts";
import type { Directory } from "./directory.ts";
import type { Entities } from "./entities.ts";
import { notAllowed } from "./errors.ts";
import type { Faults } from "./faults.ts";
import { answerManagement } from "./management.ts";
import { targetOf } from "./queue-target.ts";
import { openReceiving } from "./receiving.ts";
import { openSettling } from "./settling.ts";

/** The addresses of queues, topics, subscriptions and dead-letter queues. */
export function queueDirectory(entities: Entities, faults: Faults): Directory {
  return {
    target(address) {
      const destination = entities.destination(address);
      if (destination) return targetOf(destination);
      return entities.source(address) && { error: notAllowed(`'${address}' cannot be sent to.`) };
    },
    receive(sender, address, drop) {
      const queue = entities.source(address);
      if (queue) {
        openSettling({ sender, address, queue, faults, drop });
        return openReceiving(sender, queue);
      }
      return entities.destination(address) && { error: notAllowed(`'${address}' cannot be received from: a subscription of it can.`) };
    },
    manage(address) {
      const { entity } = parseAddress(address);
      const managed = { destination: entity === address ? entities.destination(address) : undefined, queue: entities.source(address) };
      return managed.destination || managed.queue ? (request) => answerManagement(request, managed) : undefined;
    },
  };
}
