import { parseAddress } from "../address.ts";
import type { Directory } from "../directory.ts";
import { notAllowed, notFound } from "../errors.ts";
import type { SentMessage } from "../message.ts";
import type { Hub } from "./hub.ts";
import { answerHubManagement } from "./management.ts";
import { openReading } from "./reading.ts";

/** The addresses of event hubs. */
export function hubDirectory(find: (name: string) => Hub | undefined): Directory {
  return {
    target(address) {
      const { entity, consumerGroup, partition: id } = parseAddress(address);
      const hub = find(entity);
      if (!hub) return undefined;
      if (consumerGroup !== undefined) return { error: notAllowed(`'${address}' cannot be sent to.`) };
      const chosen = id === undefined ? undefined : hub.partition(id);
      if (chosen && "error" in chosen) return chosen;
      return {
        maxMessageBytes: hub.maxMessageBytes,
        take(messages: readonly SentMessage[], envelope: SentMessage | undefined) {
          (chosen ?? hub.partitionFor(messages, envelope)).append(messages);
          return undefined;
        },
      };
    },
    receive(sender, address) {
      const { entity, consumerGroup, partition: id } = parseAddress(address);
      const hub = find(entity);
      if (!hub) return undefined;
      if (consumerGroup === undefined || id === undefined) return { error: notFound(address) };
      if (!hub.hasGroup(consumerGroup)) return { error: notFound(`${hub.name}/ConsumerGroups/${consumerGroup}`) };
      const partition = hub.partition(id);
      return "error" in partition ? partition : openReading(sender, hub, consumerGroup, partition);
    },
    manage(address, covers) {
      // The hub is named by the request: its client asks for them all at one address.
      if (address !== "" && !find(address)) return undefined;
      return (request) => answerHubManagement(request, (name) => (covers(`${name}/$management`) ? find(name) : undefined));
    },
  };
}
