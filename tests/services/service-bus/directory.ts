import type { Message, Sender } from "rhea";
import type { Reply } from "./requests.ts";
import type { AmqpError } from "./rhea-server.ts";
import type { Target } from "./sending.ts";

export interface OpenedLink {
  /** The link is no more: in order where it was detached, not where its connection was lost. */
  leave(inOrder: boolean): void;
}

/** A link that is opened, or why it is refused. */
export type Opened = OpenedLink | { error: AmqpError };

/** What addresses lead to: the entities of Service Bus, or those of Event Hubs. Each answers undefined to addresses that are not its own. */
export interface Directory {
  /** Where messages go that are sent to an address. */
  target(address: string): Target | { error: AmqpError } | undefined;
  /** Delivers over a link what an address has. `drop` cuts the client's connection. */
  receive(sender: Sender, address: string, drop: () => void): Opened | undefined;
  /** Answers the requests to `<address>/$management`; to `$management` where the address is empty. `covers`: whether a token does an address. */
  manage(address: string, covers: (address: string) => boolean): ((request: Message) => Reply) | undefined;
}
