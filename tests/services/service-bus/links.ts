import type { Receiver, Sender } from "rhea";
import { createClaims } from "./claims.ts";
import type { Opened, OpenedLink } from "./directory.ts";
import { unauthorized } from "./errors.ts";
import { isAtOrBelow } from "./faults.ts";
import { CBS, type LinkContext, openFromClient, openToClient } from "./opening.ts";
import { createRequests } from "./requests.ts";
import { type AmqpError, answerAttach, type Link, refuse } from "./rhea-server.ts";

export type LinksSetup = Omit<LinkContext, "requests" | "claims">;

/** The links of one client. */
export interface Links {
  /** The client wants to send. */
  openReceiver(receiver: Receiver): void;
  /** The client wants to receive. */
  openSender(sender: Sender): void;
  /** A link was detached. */
  onClosed(link: Link): void;
  /** How many there are to an address and all below it, or of all but those of `$cbs`. */
  count(entity?: string): number;
  /** Detaches those to an address and all below it, or all but those of `$cbs`, with an error; returns how many. */
  detach(error: AmqpError, entity?: string): number;
  /** The connection is lost. */
  end(): void;
}

const MANAGEMENT_OF_ALL = "$management";

/** No links yet. */
export function createLinks(setup: LinksSetup): Links {
  const open = new Map<Link, OpenedLink & { address: string }>();
  const claims = createClaims(() => {
    for (const [link, { address }] of open) if (!isAllowed(address)) link.close(unauthorized(address));
  });
  const context = { ...setup, requests: createRequests(), claims };
  /** All addresses but `$cbs` need a token. */
  const isAllowed = (address: string) =>
    address === CBS || (address.toLowerCase() === MANAGEMENT_OF_ALL ? claims.any() : claims.cover(address));
  const openAt = (link: Link, address: string, openOwn: () => Opened) => {
    echo(link);
    const opened = isAllowed(address) ? openOwn() : { error: unauthorized(address) };
    if ("error" in opened) refuse(link, opened.error);
    else open.set(link, { address, leave: opened.leave });
  };
  const close = (link: Link, inOrder: boolean) => {
    open.get(link)?.leave(inOrder);
    open.delete(link);
  };
  const linksTo = (entity: string | undefined) => [...open].filter(([, { address }]) => address !== CBS && isAtOrBelow(address, entity));
  return {
    openReceiver(receiver) {
      const address = receiver.target?.address ?? "";
      openAt(receiver, address, () => openFromClient(receiver, address, context));
    },
    openSender(sender) {
      const address = sender.source?.address ?? "";
      openAt(sender, address, () => openToClient(sender, address, context));
    },
    onClosed: (link) => close(link, true),
    count: (entity) => linksTo(entity).length,
    detach(error, entity) {
      const those = linksTo(entity);
      for (const [link] of those) {
        // An attach that waits is answered first.
        link.open();
        link.close(error);
      }
      return those.length;
    },
    end() {
      claims.end();
      for (const link of [...open.keys()]) close(link, false);
    },
  };
}

/** The answer to an attach names the terminus that was asked for, and the way of settling. */
function echo(link: Link): void {
  const { source, target, snd_settle_mode, rcv_settle_mode } = link;
  if (source) link.set_source({ address: source.address });
  if (target) link.set_target({ address: target.address });
  answerAttach(link, { snd_settle_mode, rcv_settle_mode });
}
