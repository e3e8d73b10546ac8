import type { Destination } from "./destination.ts";
import { notAllowed } from "./errors.ts";
import type { Queue } from "./queue.ts";
import type { Target } from "./sending.ts";

/** The limit of a topic without subscriptions. */
const MAX_MESSAGE_BYTES = 262_144;

/** Sends to a queue, or to the subscriptions of a topic. */
export function targetOf({ name, queues }: Destination): Target {
  return {
    maxMessageBytes: queues.length > 0 ? Math.min(...queues.map(({ options }) => options.maxMessageBytes)) : MAX_MESSAGE_BYTES,
    take(messages) {
      if (queues.some(({ options }) => options.requiresSession) && messages.some(({ sessionId }) => sessionId === undefined)) {
        return notAllowed(`The SessionId was not set on a message, and it cannot be sent to '${name}', which requires sessions.`);
      }
      if (queues.some((queue) => roomIn(queue) < messages.length)) {
        return { condition: "amqp:resource-limit-exceeded", description: `The maximum entity size of '${name}' has been reached.` };
      }
      for (const queue of queues) queue.enqueue(messages);
      return undefined;
    },
  };
}

const roomIn = ({ options, messages, deadLetters }: Queue): number =>
  options.maxMessages - messages.size - (deadLetters?.messages.size ?? 0);
