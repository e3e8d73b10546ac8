import type { Message } from "rhea";
import { DecodeError } from "./amqp-bytes.ts";
import type { Destination } from "./destination.ts";
import { type Body, DESTINATION_OPERATIONS, QUEUE_OPERATIONS, RequestError } from "./operations.ts";
import type { Queue } from "./queue.ts";
import type { Reply } from "./requests.ts";
import type { AmqpError } from "./rhea-server.ts";

/** What a management link is about: of a topic there is only what is sent to, of a subscription only what is received from. */
export interface Managed {
  destination: Destination | undefined;
  queue: Queue | undefined;
}

const STATUSES: Readonly<Record<string, number>> = {
  "com.microsoft:message-not-found": 404,
  "com.microsoft:message-lock-lost": 410,
  "com.microsoft:session-lock-lost": 410,
  "amqp:not-implemented": 501,
};

/** Answers a request to `<entity>/$management` of Service Bus. */
export function answerManagement(request: Message, { destination, queue }: Managed): Reply {
  const operation = String(request.application_properties?.operation).replace("com.microsoft:", "");
  const body = (request.body ?? {}) as Body;
  try {
    const onDestination = DESTINATION_OPERATIONS[operation];
    const onQueue = QUEUE_OPERATIONS[operation];
    if (destination && onDestination) return found(onDestination(destination, body));
    if (queue && onQueue) return found(onQueue(queue, body));
    return refused({ condition: "amqp:not-implemented", description: `There is no operation '${operation}' here.` });
  } catch (error) {
    if (error instanceof RequestError) return refused(error.error);
    if (error instanceof DecodeError) return refused({ condition: error.condition, description: error.message });
    throw error;
  }
}

const found = (body: Body | undefined): Reply =>
  body
    ? { properties: { statusCode: 200, statusDescription: "OK" }, body }
    : { properties: { statusCode: 204, statusDescription: "No content" } };

const refused = ({ condition, description }: AmqpError): Reply => ({
  properties: { statusCode: STATUSES[condition] ?? 400, statusDescription: description, errorCondition: condition },
});
