import type { Receiver, Sender } from "rhea";
import { answerCbs } from "./cbs.ts";
import type { Claims } from "./claims.ts";
import type { Directory, Opened } from "./directory.ts";
import { notFound } from "./errors.ts";
import type { Faults } from "./faults.ts";
import type { Requests } from "./requests.ts";
import { answerAttach } from "./rhea-server.ts";
import { openSending } from "./sending.ts";
import type { TokenRules } from "./tokens.ts";

/** What the links of one client share. */
export interface LinkContext {
  directories: readonly Directory[];
  faults: Faults;
  tokens: TokenRules;
  requests: Requests;
  claims: Claims;
  /** Cuts the client's connection. */
  drop(): void;
}

export const CBS = "$cbs";
const MANAGEMENT = /(^|\/)\$management$/i;
const NOTHING_TO_LEAVE = { leave: () => undefined };

/** Opens a link that a client sends by: requests, or messages. */
export function openFromClient(receiver: Receiver, address: string, context: LinkContext): Opened {
  const { directories, faults, tokens, requests, claims, drop } = context;
  if (address === CBS) {
    requests.serve(receiver, (request) => answerCbs(request, tokens, claims));
    return NOTHING_TO_LEAVE;
  }
  if (MANAGEMENT.test(address)) {
    const answer = first(directories, (directory) => directory.manage(address.replace(MANAGEMENT, ""), claims.cover));
    if (!answer) return { error: notFound(address) };
    requests.serve(receiver, answer);
    return NOTHING_TO_LEAVE;
  }
  const target = first(directories, (directory) => directory.target(address)) ?? { error: notFound(address) };
  if ("error" in target) return target;
  answerAttach(receiver, { max_message_size: target.maxMessageBytes });
  openSending({ receiver, address, target, faults, drop });
  return NOTHING_TO_LEAVE;
}

/** Opens a link that a client receives by: replies, or messages. */
export function openToClient(sender: Sender, address: string, { directories, requests, drop }: LinkContext): Opened {
  if (address === CBS || MANAGEMENT.test(address)) {
    requests.offer(sender);
    return { leave: () => requests.withdraw(sender) };
  }
  return first(directories, (directory) => directory.receive(sender, address, drop)) ?? { error: notFound(address) };
}

function first<T, R>(items: readonly T[], find: (item: T) => R | undefined): R | undefined {
  for (const item of items) {
    const found = find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}
