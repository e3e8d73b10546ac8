import { randomUUID } from "node:crypto";
import type { EventContext, Message, Receiver, Sender, Session } from "rhea";

export interface Reply {
  status: number;
  description: string;
  body: unknown;
}

/** Asks a node such as `$cbs` or `<entity>/$management`, and gets its replies over a link of its own. */
export interface Requester {
  /** Rejects where the link or the connection ends before the reply. */
  request(properties: Readonly<Record<string, unknown>>, body: unknown): Promise<Reply>;
}

/** Opens both links. Throws where the node refuses them. */
export async function createRequester(session: Session, address: string, connectionClosed: Promise<void>): Promise<Requester> {
  session.open();
  const replyTo = `reply-${randomUUID()}`;
  const waiting = new Map<string, { resolve(reply: Reply): void; reject(error: Error): void }>();
  const receiver = session.open_receiver({ name: replyTo, source: { address }, target: { address: replyTo } });
  const sender = session.open_sender({ target: { address }, source: { address: replyTo } });
  receiver.on("message", ({ message }: EventContext) => {
    const id = String(message?.correlation_id);
    if (message) waiting.get(id)?.resolve(replyOf(message));
    waiting.delete(id);
  });
  const fail = () => {
    for (const { reject } of waiting.values()) reject(new Error(`asking '${address}': the link ended before the reply`));
    waiting.clear();
  };
  for (const link of [receiver, sender]) link.on(link === receiver ? "receiver_close" : "sender_close", fail);
  void connectionClosed.then(fail);
  await Promise.all([opened(receiver, "receiver", address, connectionClosed), opened(sender, "sender", address, connectionClosed)]);
  return {
    request(properties, body) {
      const { promise, resolve, reject } = Promise.withResolvers<Reply>();
      const message_id = randomUUID();
      waiting.set(message_id, { resolve, reject });
      sender.send({ to: address, reply_to: replyTo, message_id, application_properties: properties, body } as Message);
      return promise;
    },
  };
}

/** `$cbs` writes its names with a hyphen, `$management` in camel case. */
function replyOf({ application_properties: properties = {}, body }: Message): Reply {
  return {
    status: Number(properties["status-code"] ?? properties["statusCode"]),
    description: String(properties["status-description"] ?? properties["statusDescription"] ?? ""),
    body,
  };
}

/** Resolves when a link is attached; rejects where the other side refuses it, or the connection ends. */
export function opened(
  link: Sender | Receiver,
  role: "sender" | "receiver",
  address: string,
  connectionClosed: Promise<void>,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = () => {
    const { condition, description } = (link.error ?? {}) as { condition?: string; description?: string };
    reject(Object.assign(new Error(`opening a link to '${address}': ${description ?? "the connection ended"}`), { condition }));
  };
  link.on(`${role}_open`, () => {
    // A refusal comes as an attach without a terminus, and a detach with the error behind it.
    if (role === "receiver" ? link.source?.address || isDynamic(link) : link.target) resolve();
  });
  link.on(`${role}_error`, () => {});
  link.on(`${role}_close`, fail);
  void connectionClosed.then(fail);
  return promise;
}

const isDynamic = (link: Sender | Receiver): boolean => Boolean(link.source?.filter);
