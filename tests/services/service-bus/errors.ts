import type { AmqpError } from "./rhea-server.ts";

/* The errors that several parts of the server answer with. */

export const notFound = (entity: string): AmqpError => ({
  condition: "amqp:not-found",
  description: `The messaging entity '${entity}' could not be found.`,
});

export const unauthorized = (address: string): AmqpError => ({
  condition: "amqp:unauthorized-access",
  description: `Unauthorized access: no valid token covers '${address}'.`,
});

export const notAllowed = (description: string): AmqpError => ({ condition: "amqp:not-allowed", description });

export const lockLost = (isOfSession: boolean): AmqpError =>
  isOfSession
    ? { condition: "com.microsoft:session-lock-lost", description: "The session lock has expired. Accept the session again." }
    : {
        condition: "com.microsoft:message-lock-lost",
        description: "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue.",
      };

export const messageNotFound = (): AmqpError => ({
  condition: "com.microsoft:message-not-found",
  description: "The specified message does not exist.",
});
