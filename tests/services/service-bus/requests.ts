import rhea, { type Message, type Receiver, type Sender } from "rhea";
import { accepted, decodeMessage } from "./rhea-server.ts";

/** What answers a request: application properties and a body. */
export interface Reply {
  properties: Readonly<Record<string, unknown>>;
  body?: unknown;
}

/** Requests over one link and their replies over another, of one client. */
export interface Requests {
  /** Replies may go over this link: to its target's address, or where it has none to its name. */
  offer(sender: Sender): void;
  withdraw(sender: Sender): void;
  /** Answers what comes over a link. */
  serve(receiver: Receiver, answer: (request: Message) => Reply): void;
}

/** No links yet. */
export function createRequests(): Requests {
  const ways = new Map<string, Sender>();
  const namesOf = (sender: Sender) => [sender.name, sender.target?.address].filter((name) => name !== undefined);
  return {
    offer(sender) {
      for (const name of namesOf(sender)) ways.set(name, sender);
    },
    withdraw(sender) {
      for (const name of namesOf(sender)) if (ways.get(name) === sender) ways.delete(name);
    },
    serve(receiver, answer) {
      receiver.on("message", ({ message, delivery }) => {
        delivery?.update(true, accepted());
        const request = decodeMessage(message as unknown as Buffer);
        const { properties, body } = answer(request);
        const reply = { correlation_id: request.message_id, application_properties: properties, body: body ?? {} };
        const bytes = rhea.message.encode(reply as Message);
        ways.get(request.reply_to ?? "")?.send(bytes as unknown as Message, undefined, 0);
      });
    },
  };
}
